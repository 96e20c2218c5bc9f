"""The consumer: hands a queue's events to a handler and settles each only after it returned."""

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
from goticket_contracts.topology import TOPOLOGY, QueueSpec, Topology
from opentelemetry.trace import SpanKind, Status, StatusCode
from prometheus_client import Counter, Gauge, Histogram

from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.messaging.broker import (
    Backoff,
    BrokerLost,
    NotConnected,
    keep_connected,
    open_channel,
)
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

__all__ = ["Consumer", "Handler", "NonRetryableError", "ReceivedMessage", "RetryableError"]

PREFETCH = 16
HANDLE_SECONDS = 60.0
"""How long a handler may take; after that it is cancelled and tried again."""
DRAIN_SECONDS = 15.0
"""How long handlers in flight may go on once the process stops; inside its grace."""
PUBLISH_SECONDS = 10.0
SUBSCRIBE_SECONDS = 10.0

HANDLED = Counter("goticket_consumer_messages", "Deliveries settled", ["queue", "type", "outcome"])
SECONDS = Histogram("goticket_consumer_handling_seconds", "Time in the handler", ["queue", "type"])
IN_FLIGHT = Gauge("goticket_consumer_in_flight", "Deliveries not yet settled", ["queue"])


class HandlerTooSlow(Exception):
    """The handler did not finish in time."""


Handler = Callable[[ReceivedMessage], Awaitable[None]]

logger = get_logger(__name__)


class Consumer:
    """Consumes one queue, up to `prefetch` events at once.

    Events of one subject are handled one after another. A retried event comes back
    later than its successors, and other processes consume too: the handler ignores
    versions it has passed.
    """

    def __init__(
        self,
        amqp_url: str,
        queue: QueueSpec,
        handle: Handler,
        *,
        prefetch: int = PREFETCH,
        topology: Topology = TOPOLOGY,
    ) -> None:
        self._amqp_url = amqp_url
        self._queue = queue
        self._handle = handle
        self._prefetch = prefetch
        self._topology = topology
        self._connected = False

    async def check(self) -> None:
        """Readiness check.

        Raises:
            NotConnected: no connection to the broker.
        """
        if not self._connected:
            raise NotConnected

    async def run(self, stop: Stop) -> None:
        """Consume until `stop`, through any loss of the broker; then finish what is in flight."""
        await keep_connected(stop, lambda backoff: self._session(stop, backoff))

    async def _session(self, stop: Stop, backoff: Backoff) -> None:
        name = f"{self._queue.name} consumer"
        async with open_channel(self._amqp_url, self._topology, name=name) as (channel, _):
            subscription = _Subscription(channel, self._queue, self._handle)
            # A broker that is coming back may take the command and never answer it.
            async with asyncio.timeout(SUBSCRIBE_SECONDS):
                await channel.set_qos(prefetch_count=self._prefetch)
                await subscription.start()
            backoff.reset()
            self._connected = True
            try:
                await subscription.until(stop)
            finally:
                self._connected = False
                await subscription.drain(stop)


class _Subscription:
    """One channel's deliveries, from the first to the last settled."""

    def __init__(self, channel: AbstractChannel, queue: QueueSpec, handle: Handler) -> None:
        self._channel = channel
        self._queue = queue
        self._handle = handle
        self._tag = ""
        self._subjects = KeyedLocks()
        self._deliveries: set[asyncio.Task[None]] = set()
        self._answers: set[asyncio.Task[None]] = set()
        self._draining = False
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Begin to receive."""
        # A queue deleted under its consumer ends the subscription, not the channel.
        underlay = await self._channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(self._on_cancelled)
        self._channel.close_callbacks.add(self._on_closed)
        queue = await self._channel.get_queue(self._queue.name, ensure=False)
        self._tag = await queue.consume(self._on_message)

    async def until(self, stop: Stop) -> None:
        """Wait for `stop`, then take no more.

        Raises:
            BrokerLost: the subscription ended by itself.
        """
        stopping = asyncio.create_task(stop.wait())
        either: list[asyncio.Future[Any]] = [stopping, self._broken]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if self._broken.done():
            self._broken.result()
        self._draining = True
        queue = await self._channel.get_queue(self._queue.name, ensure=False)
        await queue.cancel(self._tag)

    async def drain(self, stop: Stop) -> None:
        """Let handlers in flight finish, even when their answer can no longer be sent.

        Cutting one short could repeat what it has already told the world. What goes on
        DRAIN_SECONDS after `stop` is cancelled; the broker delivers it again.
        """
        self._draining = True
        if not self._deliveries:
            return
        grace = asyncio.create_task(_grace(stop))
        finished = asyncio.create_task(asyncio.wait(self._deliveries))
        await asyncio.wait((grace, finished), return_when=asyncio.FIRST_COMPLETED)
        leftovers = [grace, finished, *self._deliveries]
        for task in leftovers:
            task.cancel()
        await asyncio.gather(*leftovers, return_exceptions=True)

    def _on_closed(self, _: object, error: BaseException | None) -> None:
        self._break(BrokerLost(f"the channel was closed: {error!r}"))

    def _on_cancelled(self, _: object) -> None:
        self._break(BrokerLost("the broker cancelled the consumer"))

    def _break(self, error: Exception) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)
            self._broken.exception()  # seen: nobody may be waiting for it any more
            for answer in self._answers:
                answer.cancel()

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        """Give up what is sent to the broker inside when the connection is lost.

        The client sends through a short queue. Who waits for room in it when the
        connection dies waits forever, and with it everybody who waits for the delivery.
        """
        answer = asyncio.current_task()
        assert answer is not None  # noqa: S101 - a coroutine runs in a task
        self._answers.add(answer)
        try:
            yield
        finally:
            self._answers.discard(answer)

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        # A task of ours: the client would cancel its own when the connection dies.
        delivery = asyncio.create_task(self._receive(message))
        self._deliveries.add(delivery)
        IN_FLIGHT.labels(self._queue.name).inc()
        delivery.add_done_callback(self._on_settled)

    def _on_settled(self, delivery: asyncio.Task[None]) -> None:
        self._deliveries.discard(delivery)
        IN_FLIGHT.labels(self._queue.name).dec()
        if delivery.cancelled():
            self._break(BrokerLost("a delivery was cancelled"))
        elif error := delivery.exception():
            self._break(BrokerLost(f"a delivery could not be settled: {error!r}"))

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        try:
            event = read_message(message)
        except NonRetryableError as poison:
            await self._retry_or_dead_letter(message, "other", attempt_of(message), poison)
            return
        async with self._subjects.hold(event.subject):
            if not self._draining:  # else it is left to the broker, for somebody else
                await self._process(message, event)

    async def _process(self, message: AbstractIncomingMessage, event: ReceivedMessage) -> None:
        kind = event.type if event.type in PAYLOADS else "other"
        with (
            structlog.contextvars.bound_contextvars(
                message_id=str(event.id), message_type=event.type
            ),
            tracer.start_as_current_span(
                f"{self._queue.name} process",
                context=extracted_context(event.headers),
                kind=SpanKind.CONSUMER,
                attributes={
                    "messaging.system": "rabbitmq",
                    "messaging.destination.name": self._queue.name,
                    "messaging.message.id": str(event.id),
                    "goticket.event_type": event.type,
                    "goticket.attempt": event.attempt,
                },
            ) as span,
        ):
            began = time.perf_counter()
            try:
                await self._handle_in_time(event)
            except Exception as error:  # noqa: BLE001 - any failure of a handler is judged the same
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                await self._retry_or_dead_letter(message, kind, event.attempt, error)
            else:
                async with self._answering():
                    await message.ack()
                HANDLED.labels(self._queue.name, kind, "handled").inc()
            finally:
                SECONDS.labels(self._queue.name, kind).observe(time.perf_counter() - began)

    async def _handle_in_time(self, event: ReceivedMessage) -> None:
        deadline = asyncio.timeout(HANDLE_SECONDS)
        try:
            async with deadline:
                await self._handle(event)
        except TimeoutError as error:
            if deadline.expired():  # the event's own doing, not an outage behind the handler
                raise HandlerTooSlow(f"no end after {HANDLE_SECONDS:g} s") from error
            raise

    async def _retry_or_dead_letter(
        self, message: AbstractIncomingMessage, kind: str, attempt: int, error: Exception
    ) -> None:
        """Put a copy where the event goes next, and only then let the original go.

        A crash between the two leaves both: twice rather than never.
        """
        decision = decide_retry(self._queue, attempt, error)
        outcome = "dead_lettered" if decision.final else "retried"
        logger.log(
            logging.ERROR if decision.final else logging.WARNING,
            "event dead-lettered" if decision.final else "event retried",
            queue=decision.queue,
            attempt=attempt,
            reason=decision.reason,
        )
        copy = copy_message(
            message,
            {
                ATTEMPT: decision.attempt,
                REASON: decision.reason,
                FAILED_AT: datetime.now(UTC).isoformat(timespec="milliseconds"),
            },
        )
        async with self._answering():
            await self._put(copy, decision.queue, message)
        HANDLED.labels(self._queue.name, kind, outcome).inc()

    async def _put(self, copy: Message, queue: str, message: AbstractIncomingMessage) -> None:
        try:
            await self._channel.default_exchange.publish(
                copy, queue, mandatory=True, timeout=PUBLISH_SECONDS
            )
        except (TypeError, ValueError):
            # Headers that cannot be written again: the broker moves the original
            # to the dead letters as it is, only without the reason.
            await message.reject(requeue=False)
        else:
            await message.ack()


async def _grace(stop: Stop) -> None:
    await stop.wait()
    await asyncio.sleep(DRAIN_SECONDS)
