"""Declares the exchange, the queues and their retry and dead-letter companions.

Every queue is a quorum queue whose dead-lettering is at-least-once, so that a message
on its way from one queue to the next survives the loss of a node. RabbitMQ 3.10 is
the oldest that can do this.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractExchange, HeadersType
from aio_pika.exceptions import ChannelPreconditionFailed
from goticket_contracts.topology import QueueSpec, Topology

Arguments: TypeAlias = HeadersType
"""Of a queue: an AMQP field table, as headers are."""

DECLARE_SECONDS = 30.0
"""How long one declaration may take; a new quorum queue elects a leader first."""

WORK_DELIVERY_LIMIT = 100
"""Deliveries without an answer before the broker dead-letters a message by itself.

Each kill -9 of a consumer costs every message it held one delivery. RabbitMQ 4 drops
a message after 20 when nothing is set, 3.x never gives up on one that kills its
consumer every time. So: far above what a crash-looping neighbour causes, and what
gets there goes to the dead-letter queue, never away.
"""
KEEP_DELIVERY_LIMIT = 1_000_000
"""For dead letters, where looking at a message counts as a delivery: in effect none."""

EVENT_LOG_ARGUMENTS: Arguments = {
    "x-queue-type": "stream",
    "x-max-age": "7D",
    # A second bound, so that a busy week cannot fill the broker's disk.
    "x-max-length-bytes": 10_000_000_000,
    "x-stream-max-segment-size-bytes": 100_000_000,
}


class TopologyMismatch(Exception):
    """The broker holds a queue or exchange of this name with other settings."""


@dataclass(frozen=True)
class _Queue:
    name: str
    arguments: Arguments
    bindings: tuple[str, ...] = field(default=())


async def declare_topology(channel: AbstractChannel, topology: Topology) -> AbstractExchange:
    """Declare everything of `topology`; return its exchange. Harmless to repeat.

    Raises:
        TopologyMismatch: naming what exists with other settings. The channel is closed.
    """
    try:
        exchange = await channel.declare_exchange(
            topology.exchange, ExchangeType.TOPIC, durable=True, timeout=DECLARE_SECONDS
        )
    except ChannelPreconditionFailed as error:
        raise TopologyMismatch(_explain("exchange", topology.exchange, error)) from error
    for queue in _queues(topology):
        await _declare(channel, exchange, queue)
    return exchange


async def _declare(channel: AbstractChannel, exchange: AbstractExchange, queue: _Queue) -> None:
    try:
        declared = await channel.declare_queue(
            queue.name, durable=True, arguments=queue.arguments, timeout=DECLARE_SECONDS
        )
    except ChannelPreconditionFailed as error:
        raise TopologyMismatch(_explain("queue", queue.name, error)) from error
    for pattern in queue.bindings:
        await declared.bind(exchange, pattern, timeout=DECLARE_SECONDS)


def _explain(kind: str, name: str, error: Exception) -> str:
    return (
        f"{kind} {name!r} exists with other settings than this release declares; "
        f"empty and delete it, then it is declared anew ({error})"
    )


def _queues(topology: Topology) -> Iterator[_Queue]:
    # What a queue dead-letters into comes before the queue itself: at no moment
    # can a message fall into a name that does not exist yet.
    yield _Queue(topology.event_log, EVENT_LOG_ARGUMENTS, ("#",))
    for spec in topology.queues:
        yield _dead_letters(spec)
        for name, delay in spec.retry_queues.items():
            yield _retry(name, delay, back_to=spec.name)
        yield _work(spec)


def _work(spec: QueueSpec) -> _Queue:
    arguments = _quorum(dead_letter_to=spec.dead_letters)
    return _Queue(spec.name, {**arguments, "x-delivery-limit": WORK_DELIVERY_LIMIT}, spec.bindings)


def _retry(name: str, delay: float, *, back_to: str) -> _Queue:
    arguments = _quorum(dead_letter_to=back_to)
    return _Queue(name, {**arguments, "x-message-ttl": round(delay * 1000)})


def _dead_letters(spec: QueueSpec) -> _Queue:
    return _Queue(
        spec.dead_letters,
        {"x-queue-type": "quorum", "x-delivery-limit": KEEP_DELIVERY_LIMIT},
    )


def _quorum(*, dead_letter_to: str) -> Arguments:
    """Arguments of a quorum queue that hands on, through the default exchange, what leaves it."""
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead_letter_to,
        "x-dead-letter-strategy": "at-least-once",
        # At-least-once needs it; without a length limit it never rejects anything.
        "x-overflow": "reject-publish",
    }
