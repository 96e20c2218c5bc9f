"""Lists the dead letters of a queue and replays them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from goticket_contracts.topology import TOPOLOGY, QueueSpec, Topology

from goticket_platform.messaging.broker import open_channel
from goticket_platform.messaging.cloudevents import ATTEMPT, FAILED_AT, REASON, copy_message

PUBLISH_SECONDS = 10.0
LIST_LIMIT = 100
"""Number of dead letters in a list by default."""


@dataclass(frozen=True)
class DeadLetter:
    """A message that could not be handled. Unknown fields are empty."""

    id: str
    type: str
    reason: str
    time: str
    attempts: int


async def list_dead_letters(
    amqp_url: str, queue: QueueSpec, limit: int = LIST_LIMIT, *, topology: Topology = TOPOLOGY
) -> list[DeadLetter]:
    """Return up to `limit` dead letters of `queue`, oldest first, without removing them."""
    name = f"{queue.name} dead letters"
    async with open_channel(amqp_url, topology, name=name) as (channel, _):
        # Unacknowledged: the broker requeues them when the channel closes.
        return [_describe(message) async for message in _get(channel, queue, limit)]


async def replay_dead_letters(
    amqp_url: str, queue: QueueSpec, limit: int | None = None, *, topology: Topology = TOPOLOGY
) -> int:
    """Publish up to `limit` dead letters (None: all of now) to `queue` again; return how many.

    The attempts start again at 1. Each dead letter is removed once the broker has confirmed its
    copy. A crash in between leaves both, and the consumer's inbox ignores the second.
    """
    replayed = 0
    name = f"{queue.name} dead letters"
    async with open_channel(amqp_url, topology, name=name) as (channel, _):
        exchange = await channel.get_exchange(queue.exchange, ensure=False)
        async for message in _get(channel, queue, limit):
            await exchange.publish(
                copy_message(message, {}), queue.name, mandatory=True, timeout=PUBLISH_SECONDS
            )
            await message.ack()
            replayed += 1
    return replayed


async def _get(
    channel: AbstractChannel, queue: QueueSpec, limit: int | None
) -> AsyncIterator[AbstractIncomingMessage]:
    """Get the dead letters of now, but not those that return while this runs."""
    dead = await channel.declare_queue(queue.dead_letters, passive=True)
    count = dead.declaration_result.message_count or 0
    for _ in range(count if limit is None else min(limit, count)):
        message = await dead.get(fail=False)
        if message is None:
            return
        yield message


def _describe(message: AbstractIncomingMessage) -> DeadLetter:
    headers = message.headers
    # A message that the broker itself dead-lettered has the reason in a header of the broker.
    by_broker = f"by the broker: {headers.get('x-first-death-reason', 'unknown')!s}"
    attempt = headers.get(ATTEMPT)
    return DeadLetter(
        id=str(headers.get("cloudEvents:id", message.message_id or "")),
        type=str(headers.get("cloudEvents:type", message.type or "")),
        reason=str(headers.get(REASON, by_broker)),
        time=str(headers.get(FAILED_AT, "")),
        attempts=attempt if isinstance(attempt, int) else 0,
    )
