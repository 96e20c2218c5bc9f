"""The deliveries of one channel: handled, then acknowledged, retried or dead-lettered."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import structlog
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from goticket_contracts.event_types import PAYLOADS
from goticket_contracts.topology import QueueSpec
from opentelemetry.trace import SpanKind, Status, StatusCode
from prometheus_client import Counter, Gauge, Histogram

from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.messaging.broker import BrokerLost
from goticket_platform.messaging.cloudevents import (
    ATTEMPT,
    FAILED_AT,
    REASON,
    NonRetryableError,
    ReceivedMessage,
    attempt_of,
    copy_message,
    read_message,
)
from goticket_platform.messaging.keyed_locks import KeyedLocks
from goticket_platform.messaging.retry_decision import RetryableError, decide_retry
from goticket_platform.telemetry import extracted_context, tracer

HANDLE_SECONDS = 60.0
"""Time limit of a handler; then it is cancelled and the message is retried."""
DRAIN_SECONDS = 15.0
"""Time limit of handlers in flight after the stop; shorter than the process's grace period."""
PUBLISH_SECONDS = 10.0

CONSUMER_MESSAGES = Counter(
    "goticket_consumer_messages", "Deliveries settled", ["queue", "type", "outcome"]
)
CONSUMER_HANDLING_SECONDS = Histogram(
    "goticket_consumer_handling_seconds", "Time in the handler", ["queue", "type"]
)
CONSUMER_IN_FLIGHT = Gauge("goticket_consumer_in_flight", "Deliveries not yet settled", ["queue"])

Handler = Callable[[ReceivedMessage], Awaitable[None]]

logger = get_logger(__name__)


class HandlerTimeout(RetryableError):
    """The handler did not finish in time. A busy machine causes it as a slow message does."""


class Subscription:
    """Consumes a queue on one channel until the stop or the loss of the channel."""

    def __init__(self, channel: AbstractChannel, queue: QueueSpec, handle: Handler) -> None:
        self._channel = channel
        self._queue = queue
        self._handle = handle
        self._consumer_tag = ""
        self._subject_locks = KeyedLocks()
        self._deliveries: set[asyncio.Task[None]] = set()
        self._settling: set[asyncio.Task[None]] = set()
        self._draining = False
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Subscribe to the queue."""
        # Deleting a queue cancels its consumers but does not close their channels.
        underlay = await self._channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(self._on_cancelled)
        self._channel.close_callbacks.add(self._on_closed)
        queue = await self._channel.get_queue(self._queue.name, ensure=False)
        self._consumer_tag = await queue.consume(self._on_message)

    async def run_until(self, stop: Stop) -> None:
        """Wait for `stop`, then unsubscribe.

        Raises:
            BrokerLost: the subscription ended before.
        """
        stopping = asyncio.create_task(stop.wait())
        ends: list[asyncio.Future[Any]] = [stopping, self._lost]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if self._lost.done():
            self._lost.result()
        self._draining = True
        queue = await self._channel.get_queue(self._queue.name, ensure=False)
        await queue.cancel(self._consumer_tag)

    async def drain(self, stop: Stop) -> None:
        """Let handlers in flight finish, even when the channel is lost.

        A cancelled handler could repeat effects outside of the database. DRAIN_SECONDS after
        `stop` the remaining ones are cancelled, and the broker redelivers their messages.
        """
        self._draining = True
        if not self._deliveries:
            return
        grace = asyncio.create_task(_wait_for_grace(stop))
        finished = asyncio.create_task(asyncio.wait(self._deliveries))
        await asyncio.wait((grace, finished), return_when=asyncio.FIRST_COMPLETED)
        remaining = [grace, finished, *self._deliveries]
        for task in remaining:
            task.cancel()
        await asyncio.gather(*remaining, return_exceptions=True)

    def _on_closed(self, _: object, error: BaseException | None) -> None:
        self._set_lost(BrokerLost(f"the channel was closed: {error!r}"))

    def _on_cancelled(self, _: object) -> None:
        self._set_lost(BrokerLost("the broker cancelled the consumer"))

    def _set_lost(self, error: Exception) -> None:
        if not self._lost.done():
            self._lost.set_exception(error)
            self._lost.exception()  # marked as retrieved: possibly no task awaits it any more
            for task in self._settling:
                task.cancel()

    @asynccontextmanager
    async def _cancelled_on_loss(self) -> AsyncIterator[None]:
        """Cancel the block when the channel is lost.

        The client sends through a queue of limited size. A task that waits for space in it
        when the connection is lost would wait forever, and the drain would wait for the task.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._settling.add(task)
        try:
            yield
        finally:
            self._settling.discard(task)

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        # A new task, because the client cancels its own when the connection is lost.
        delivery = asyncio.create_task(self._receive(message))
        self._deliveries.add(delivery)
        CONSUMER_IN_FLIGHT.labels(self._queue.name).inc()
        delivery.add_done_callback(self._on_settled)

    def _on_settled(self, delivery: asyncio.Task[None]) -> None:
        self._deliveries.discard(delivery)
        CONSUMER_IN_FLIGHT.labels(self._queue.name).dec()
        if delivery.cancelled():
            self._set_lost(BrokerLost("a delivery was cancelled"))
        elif error := delivery.exception():
            self._set_lost(BrokerLost(f"a delivery could not be settled: {error!r}"))

    async def _receive(self, delivery: AbstractIncomingMessage) -> None:
        try:
            message = read_message(delivery)
        except NonRetryableError as error:
            await self._retry_or_dead_letter(delivery, "other", attempt_of(delivery), error)
            return
        async with self._subject_locks.hold(message.subject):
            if not self._draining:  # otherwise the broker redelivers it to another consumer
                await self._process(delivery, message)

    async def _process(self, delivery: AbstractIncomingMessage, message: ReceivedMessage) -> None:
        kind = message.type if message.type in PAYLOADS else "other"
        with (
            structlog.contextvars.bound_contextvars(
                message_id=str(message.id), message_type=message.type
            ),
            tracer.start_as_current_span(
                f"{self._queue.name} process",
                context=extracted_context(message.headers),
                kind=SpanKind.CONSUMER,
                attributes={
                    "messaging.system": "rabbitmq",
                    "messaging.destination.name": self._queue.name,
                    "messaging.message.id": str(message.id),
                    "goticket.event_type": message.type,
                    "goticket.attempt": message.attempt,
                },
            ) as span,
        ):
            began = time.perf_counter()
            try:
                await self._handle_in_time(message)
            except Exception as error:  # noqa: BLE001 - any failure leads to a retry decision
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                await self._retry_or_dead_letter(delivery, kind, message.attempt, error)
            else:
                async with self._cancelled_on_loss():
                    await delivery.ack()
                CONSUMER_MESSAGES.labels(self._queue.name, kind, "handled").inc()
            finally:
                seconds = time.perf_counter() - began
                CONSUMER_HANDLING_SECONDS.labels(self._queue.name, kind).observe(seconds)

    async def _handle_in_time(self, message: ReceivedMessage) -> None:
        deadline = asyncio.timeout(HANDLE_SECONDS)
        try:
            async with deadline:
                await self._handle(message)
        except TimeoutError as error:
            if deadline.expired():
                raise HandlerTimeout(f"not finished after {HANDLE_SECONDS:g} s") from error
            raise

    async def _retry_or_dead_letter(
        self, delivery: AbstractIncomingMessage, kind: str, attempt: int, error: Exception
    ) -> None:
        """Publish a copy to the next queue, and only then acknowledge the original.

        A crash between the two leaves both: a message twice is better than none.
        """
        decision = decide_retry(self._queue, attempt, error)
        outcome = "dead_lettered" if decision.final else "retried"
        logger.log(
            logging.ERROR if decision.final else logging.WARNING,
            "message dead-lettered" if decision.final else "message retried",
            queue=decision.queue,
            attempt=attempt,
            reason=decision.reason,
        )
        copy = copy_message(
            delivery,
            {
                ATTEMPT: decision.attempt,
                REASON: decision.reason,
                FAILED_AT: datetime.now(UTC).isoformat(timespec="milliseconds"),
            },
        )
        async with self._cancelled_on_loss():
            await self._move(copy, decision.queue, delivery)
        CONSUMER_MESSAGES.labels(self._queue.name, kind, outcome).inc()

    async def _move(self, copy: Message, queue: str, original: AbstractIncomingMessage) -> None:
        try:
            exchange = await self._channel.get_exchange(self._queue.exchange, ensure=False)
            await exchange.publish(copy, queue, mandatory=True, timeout=PUBLISH_SECONDS)
        except (TypeError, ValueError):
            # Headers that cannot be encoded again: the broker dead-letters the original
            # unchanged, without the reason.
            await original.reject(requeue=False)
        else:
            await original.ack()


async def _wait_for_grace(stop: Stop) -> None:
    await stop.wait()
    await asyncio.sleep(DRAIN_SECONDS)
