"""Declares the exchanges, and the queues with their retry and dead-letter queues.

Every queue is a quorum queue with at-least-once dead-lettering, so that a message that moves
from one queue to the next survives the loss of a node. This needs RabbitMQ 3.10 or newer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection, HeadersType
from aio_pika.exceptions import (
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)
from aiormq.exceptions import ChannelAccessRefused
from goticket_contracts.topology import EVENT_LOG_DAYS, QueueSpec, Topology

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
    "x-max-age": f"{EVENT_LOG_DAYS}D",
    # A second limit, so that a busy week cannot fill the broker's disk. Both limits delete whole
    # segments, so up to one segment more is kept.
    "x-max-length-bytes": 10_000_000_000,
    "x-stream-max-segment-size-bytes": 100_000_000,
}


class TopologyMismatch(Exception):
    """The broker has a queue or exchange of this name with other settings."""


class TopologyMissing(Exception):
    """The broker has no such queue or exchange, and this user may not declare it."""


@dataclass(frozen=True)
class _Queue:
    name: str
    arguments: Arguments
    bindings: tuple[tuple[str, str], ...] = field(default=())
    """Pairs of exchange and routing key."""


async def ensure_topology(connection: AbstractConnection, topology: Topology) -> None:
    """Check that `topology` exists; declare it if it does not and the user may.

    A service's user may not: `declare_topology` is called by an administrator when the system
    is set up. The check compares names only.

    Raises:
        TopologyMissing: a queue or exchange does not exist, and the user may not declare it.
        TopologyMismatch: a queue or exchange exists with other settings.
    """
    # A failed declaration closes its channel, so each one has a channel of its own.
    try:
        async with connection.channel() as channel:
            await _check(channel, topology)
    except ChannelNotFoundEntity as missing:
        try:
            async with connection.channel() as channel:
                await declare_topology(channel, topology)
        except ChannelAccessRefused as refused:
            raise TopologyMissing(
                f"{missing}; an administrator has to declare the topology"
            ) from refused


async def ensure_exchange(connection: AbstractConnection, name: str) -> None:
    """Check that the topic exchange `name` exists; declare it if the user may.

    Raises:
        TopologyMissing: it does not exist, and the user may not declare it.
        TopologyMismatch: an exchange of this name has another type.
    """
    await ensure_topology(connection, Topology(name, "", ()))


async def _check(channel: AbstractChannel, topology: Topology) -> None:
    for exchange in (topology.exchange, *(spec.exchange for spec in topology.queues)):
        await channel.declare_exchange(exchange, passive=True, timeout=DECLARE_SECONDS)
    for queue in _queues(topology):
        await channel.declare_queue(queue.name, passive=True, timeout=DECLARE_SECONDS)


async def declare_topology(channel: AbstractChannel, topology: Topology) -> None:
    """Declare exchanges, queues and bindings of `topology`. Idempotent.

    Raises:
        TopologyMismatch: a queue or exchange exists with other settings. The channel is closed.
    """
    await _declare_exchange(channel, topology.exchange, ExchangeType.TOPIC)
    for spec in topology.queues:
        await _declare_exchange(channel, spec.exchange, ExchangeType.DIRECT)
    for queue in _queues(topology):
        await _declare_queue(channel, queue)


async def _declare_exchange(channel: AbstractChannel, name: str, kind: ExchangeType) -> None:
    try:
        await channel.declare_exchange(name, kind, durable=True, timeout=DECLARE_SECONDS)
    except ChannelPreconditionFailed as error:
        raise TopologyMismatch(_explain("exchange", name, error)) from error


async def _declare_queue(channel: AbstractChannel, queue: _Queue) -> None:
    try:
        declared = await channel.declare_queue(
            queue.name, durable=True, arguments=queue.arguments, timeout=DECLARE_SECONDS
        )
    except ChannelPreconditionFailed as error:
        raise TopologyMismatch(_explain("queue", queue.name, error)) from error
    for exchange, routing_key in queue.bindings:
        await declared.bind(exchange, routing_key, timeout=DECLARE_SECONDS)


def _explain(kind: str, name: str, error: Exception) -> str:
    return (
        f"{kind} {name!r} exists with other settings than this release declares; "
        f"delete it when it is empty, and it is declared again ({error})"
    )


def _queues(topology: Topology) -> Iterator[_Queue]:
    # The target of dead-lettering is declared before the queue itself: no message can be
    # routed to a queue that does not exist yet.
    if topology.event_log:
        yield _Queue(topology.event_log, EVENT_LOG_ARGUMENTS, ((topology.exchange, "#"),))
    for spec in topology.queues:
        yield _dead_letters(spec)
        # The work queue comes before the retry queues, which return messages to it.
        yield _work(spec, topology.exchange)
        for name, delay in spec.retry_queues.items():
            yield _retry(spec, name, delay)


def _work(spec: QueueSpec, exchange: str) -> _Queue:
    arguments = _quorum(spec, dead_letter_to=spec.dead_letters)
    events = tuple((exchange, pattern) for pattern in spec.bindings)
    return _Queue(
        spec.name,
        {**arguments, "x-delivery-limit": WORK_DELIVERY_LIMIT},
        (*_direct(spec, spec.name), *events),
    )


def _retry(spec: QueueSpec, name: str, delay: float) -> _Queue:
    arguments = _quorum(spec, dead_letter_to=spec.name)
    return _Queue(name, {**arguments, "x-message-ttl": round(delay * 1000)}, _direct(spec, name))


def _dead_letters(spec: QueueSpec) -> _Queue:
    return _Queue(
        spec.dead_letters,
        {"x-queue-type": "quorum", "x-delivery-limit": DEAD_LETTER_DELIVERY_LIMIT},
        _direct(spec, spec.dead_letters),
    )


def _direct(spec: QueueSpec, name: str) -> tuple[tuple[str, str], ...]:
    return ((spec.exchange, name),)


def _quorum(spec: QueueSpec, *, dead_letter_to: str) -> Arguments:
    """Return arguments of a quorum queue that dead-letters through its direct exchange."""
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": spec.exchange,
        "x-dead-letter-routing-key": dead_letter_to,
        "x-dead-letter-strategy": "at-least-once",
        # At-least-once needs it; without a length limit it never rejects anything.
        "x-overflow": "reject-publish",
    }
