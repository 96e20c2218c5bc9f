"""Looks at a queue's dead letters and sends them to it again."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from goticket_contracts.topology import TOPOLOGY, QueueSpec, Topology

from goticket_platform.messaging.broker import open_channel
from goticket_platform.messaging.cloudevents import ATTEMPT, FAILED_AT, REASON, copy_message

PUBLISH_SECONDS = 10.0
LIST_LIMIT = 100
"""How many dead letters a list has by default."""


@dataclass(frozen=True)
class DeadLetter:
    """What is known of an event that could not be handled; empty where nothing is."""

    id: str
    type: str
    reason: str
    time: str
    attempts: int


async def list_dead_letters(
    amqp_url: str, queue: QueueSpec, limit: int = LIST_LIMIT, *, topology: Topology = TOPOLOGY
) -> list[DeadLetter]:
    """Return up to `limit` dead letters of `queue`, oldest first; they stay where they are."""
    name = f"{queue.name} dead letters"
    async with open_channel(amqp_url, topology, name=name) as (channel, _):
        # Held until the channel closes, which puts them back.
        return [_describe(message) async for message in _take(channel, queue, limit)]


async def replay_dead_letters(
    amqp_url: str, queue: QueueSpec, limit: int | None = None, *, topology: Topology = TOPOLOGY
) -> int:
    """Give up to `limit` dead letters (None: all there are now) their tries anew; return how many.

    Each is removed once the broker has confirmed its copy in `queue`. A crash in
    between leaves both; the consumer's inbox drops the second.
    """
    replayed = 0
    name = f"{queue.name} dead letters"
    async with open_channel(amqp_url, topology, name=name) as (channel, _):
        async for message in _take(channel, queue, limit):
            await channel.default_exchange.publish(
                copy_message(message, {}), queue.name, mandatory=True, timeout=PUBLISH_SECONDS
            )
            await message.ack()
            replayed += 1
    return replayed


async def _take(
    channel: AbstractChannel, queue: QueueSpec, limit: int | None
) -> AsyncIterator[AbstractIncomingMessage]:
    """Take what is there now: not again what comes back while this runs."""
    dead = await channel.declare_queue(queue.dead_letters, passive=True)
    waiting = dead.declaration_result.message_count or 0
    for _ in range(waiting if limit is None else min(limit, waiting)):
        message = await dead.get(fail=False)
        if message is None:
            return
        yield message


def _describe(message: AbstractIncomingMessage) -> DeadLetter:
    headers = message.headers
    # What the broker moved by itself says why only in its own header.
    by_broker = f"by the broker: {headers.get('x-first-death-reason', 'unknown')!s}"
    attempt = headers.get(ATTEMPT)
    return DeadLetter(
        id=str(headers.get("cloudEvents:id", message.message_id or "")),
        type=str(headers.get("cloudEvents:type", message.type or "")),
        reason=str(headers.get(REASON, by_broker)),
        time=str(headers.get(FAILED_AT, "")),
        attempts=attempt if isinstance(attempt, int) else 0,
    )
