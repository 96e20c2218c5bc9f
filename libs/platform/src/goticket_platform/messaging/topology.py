"""Declares the exchange, and the queues with their retry and dead-letter queues.

Every queue is a quorum queue with at-least-once dead-lettering, so that a message that moves
from one queue to the next survives the loss of a node. This needs RabbitMQ 3.10 or newer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractExchange, HeadersType
from aio_pika.exceptions import ChannelPreconditionFailed
from goticket_contracts.topology import QueueSpec, Topology

Arguments: TypeAlias = HeadersType
"""Arguments of a queue: an AMQP field table, as headers are."""

DECLARE_SECONDS = 30.0
"""Time limit of one declaration; a new quorum queue elects a leader first."""

WORK_DELIVERY_LIMIT = 100
"""Unacknowledged deliveries after which the broker itself dead-letters a message.

Each kill -9 of a consumer costs each of its unacknowledged messages one delivery. By default
RabbitMQ 4 drops a message after 20, and 3.x never stops redelivering one that crashes its
consumer. This limit is far above what a crash loop caused by another message reaches. A message
that reaches it goes to the dead-letter queue.
"""
DEAD_LETTER_DELIVERY_LIMIT = 1_000_000
"""In effect no limit: each listing of a dead letter counts as a delivery."""

EVENT_LOG_ARGUMENTS: Arguments = {
    "x-queue-type": "stream",
    "x-max-age": "7D",
    # A second limit, so that a busy week cannot fill the broker's disk.
    "x-max-length-bytes": 10_000_000_000,
    "x-stream-max-segment-size-bytes": 100_000_000,
}


class TopologyMismatch(Exception):
    """The broker has a queue or exchange of this name with other settings."""


@dataclass(frozen=True)
class _Queue:
    name: str
    arguments: Arguments
    bindings: tuple[str, ...] = field(default=())


async def declare_topology(channel: AbstractChannel, topology: Topology) -> AbstractExchange:
    """Declare the exchange, queues and bindings of `topology`; return the exchange. Idempotent.

    Raises:
        TopologyMismatch: a queue or exchange exists with other settings. The channel is closed.
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
        f"delete it when it is empty, and it is declared again ({error})"
    )


def _queues(topology: Topology) -> Iterator[_Queue]:
    # The target of dead-lettering is declared before the queue itself: no message can be
    # routed to a queue that does not exist yet.
    yield _Queue(topology.event_log, EVENT_LOG_ARGUMENTS, ("#",))
    for spec in topology.queues:
        yield _dead_letters(spec)
        for name, delay in spec.retry_queues.items():
            yield _retry(name, delay, return_to=spec.name)
        yield _work(spec)


def _work(spec: QueueSpec) -> _Queue:
    arguments = _quorum(dead_letter_to=spec.dead_letters)
    return _Queue(spec.name, {**arguments, "x-delivery-limit": WORK_DELIVERY_LIMIT}, spec.bindings)


def _retry(name: str, delay: float, *, return_to: str) -> _Queue:
    arguments = _quorum(dead_letter_to=return_to)
    return _Queue(name, {**arguments, "x-message-ttl": round(delay * 1000)})


def _dead_letters(spec: QueueSpec) -> _Queue:
    return _Queue(
        spec.dead_letters,
        {"x-queue-type": "quorum", "x-delivery-limit": DEAD_LETTER_DELIVERY_LIMIT},
    )


def _quorum(*, dead_letter_to: str) -> Arguments:
    """Return arguments of a quorum queue that dead-letters through the default exchange."""
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead_letter_to,
        "x-dead-letter-strategy": "at-least-once",
        # At-least-once needs it; without a length limit it never rejects anything.
        "x-overflow": "reject-publish",
    }
