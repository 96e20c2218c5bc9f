"""The relay: moves events from the outbox to RabbitMQ, at least once, in order per aggregate."""

import asyncio
import json
from enum import Enum

import asyncpg
from aio_pika.abc import AbstractExchange
from aio_pika.exceptions import DeliveryError
from goticket_contracts.topology import TOPOLOGY, Topology
from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Gauge

from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.messaging.broker import (
    Backoff,
    BrokerLost,
    NotConnected,
    being_cancelled,
    keep_connected,
    open_channel,
)
from goticket_platform.messaging.cloudevents import PublishedEvent, event_message
from goticket_platform.messaging.outbox_listener import listen
from goticket_platform.messaging.statements import outbox_channel, statements
from goticket_platform.telemetry import extracted_context, inject_context, tracer

BATCH = 500
"""Most events claimed in one transaction."""
POLL_SECONDS = 1.0
"""How long to sleep when no wake-up comes: the bound on a lost NOTIFY."""
PUBLISH_SECONDS = 10.0
"""How long the broker may take to confirm one event."""
SAMPLE_SECONDS = 5.0
"""How often the backlog is measured."""
PENDING = Gauge("goticket_outbox_pending", "Events that wait in the outbox", ["schema"])
OLDEST = Gauge("goticket_outbox_oldest_seconds", "Age of the oldest waiting event", ["schema"])
PUBLISHED = Counter("goticket_outbox_published", "Events the broker confirmed", ["schema"])
REFUSED = Counter("goticket_outbox_refused", "Events the broker did not take", ["schema"])

logger = get_logger(__name__)


class _Outcome(Enum):
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    """The broker answered and did not take it: it waits, others go on."""
    UNKNOWN = "unknown"
    """No answer came: the connection is of no more use, and the event goes again."""


class Relay:
    """Publishes the outbox of one schema. Any number may run at once.

    `pool` needs two connections: one listens for wake-ups. `source` is the
    CloudEvents source, such as "/goticket/booking".
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        amqp_url: str,
        schema: str,
        source: str,
        *,
        topology: Topology = TOPOLOGY,
        batch: int = BATCH,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._pool = pool
        self._amqp_url = amqp_url
        self._schema = schema
        self._source = source
        self._topology = topology
        self._batch = batch
        self._poll_seconds = poll_seconds
        self._sql = statements(schema)
        self._wake = asyncio.Event()
        self._connected = False

    async def check(self) -> None:
        """Readiness check.

        Raises:
            NotConnected: no connection to the broker.
        """
        if not self._connected:
            raise NotConnected

    async def run(self, stop: Stop) -> None:
        """Relay until `stop`, through any loss of broker or database; finish the batch begun."""
        async with asyncio.TaskGroup() as tasks:
            channel = outbox_channel(self._schema)
            tasks.create_task(listen(self._pool, channel, self._wake.set, stop))
            tasks.create_task(self._sample(stop))
            tasks.create_task(self._wake_to_stop(stop))
            await keep_connected(stop, lambda backoff: self._session(stop, backoff))

    async def _session(self, stop: Stop, backoff: Backoff) -> None:
        name = f"{self._schema} relay"
        async with open_channel(self._amqp_url, self._topology, name=name) as (channel, exchange):
            self._connected = True
            try:
                while not stop.is_set():
                    if channel.is_closed:
                        raise BrokerLost("the channel was closed")
                    # Cleared before looking: what commits during the look wakes again.
                    self._wake.clear()
                    if await self._relay_batch(exchange):
                        backoff.reset()
                    else:
                        await self._sleep()
            finally:
                self._connected = False

    async def _relay_batch(self, exchange: AbstractExchange) -> int:
        """Publish and forget one batch; return how many events it had.

        The rows stay locked meanwhile. A crash after the publish and before the
        commit publishes them again: consumers drop what they have seen.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(self._sql["claim_heads"], self._batch)
            outcomes = await asyncio.gather(*(self._publish(exchange, row) for row in rows))
            ids: dict[_Outcome, list[int]] = {outcome: [] for outcome in _Outcome}
            for row, outcome in zip(rows, outcomes, strict=True):
                ids[outcome].append(row["id"])
            if confirmed := ids[_Outcome.CONFIRMED]:
                await connection.execute(self._sql["delete_published"], confirmed)
            if refused := ids[_Outcome.REFUSED]:
                await connection.execute(self._sql["back_off"], refused)
        PUBLISHED.labels(self._schema).inc(len(confirmed))
        REFUSED.labels(self._schema).inc(len(refused))
        if unknown := ids[_Outcome.UNKNOWN]:
            raise BrokerLost(f"{len(unknown)} of {len(rows)} events were not confirmed")
        return len(rows)

    async def _publish(self, exchange: AbstractExchange, row: asyncpg.Record) -> _Outcome:
        """Publish one event as a child of the request that caused it; never raise."""
        headers: dict[str, str] = json.loads(row["headers"])
        with tracer.start_as_current_span(
            f"{exchange.name} publish",
            context=extracted_context(headers),
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "rabbitmq",
                "messaging.destination.name": exchange.name,
                "messaging.message.id": str(row["event_id"]),
                "messaging.rabbitmq.destination.routing_key": row["type"],
            },
        ):
            try:
                message = event_message(self._event(row), {**headers, **inject_context()})
                await exchange.publish(
                    message, row["type"], mandatory=True, timeout=PUBLISH_SECONDS
                )
            except (DeliveryError, ValueError, TypeError) as error:
                logger.error(
                    "event refused",
                    message_id=str(row["event_id"]),
                    message_type=row["type"],
                    attempts=row["attempts"] + 1,
                    reason=f"{type(error).__name__}: {error}",
                )
                return _Outcome.REFUSED
            except asyncio.CancelledError:
                if being_cancelled():
                    raise
                return _Outcome.UNKNOWN
            except Exception:  # noqa: BLE001 - a dying connection raises nearly anything
                return _Outcome.UNKNOWN
        return _Outcome.CONFIRMED

    def _event(self, row: asyncpg.Record) -> PublishedEvent:
        return PublishedEvent(
            id=row["event_id"],
            type=row["type"],
            source=self._source,
            subject=str(row["aggregate_id"]),
            version=row["aggregate_version"],
            partition_key=str(row["partition_id"]),
            occurred_at=row["occurred_at"],
            payload=row["payload"],
        )

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _wake_to_stop(self, stop: Stop) -> None:
        await stop.wait()
        self._wake.set()

    async def _sample(self, stop: Stop) -> None:
        while not await stop.wait(SAMPLE_SECONDS):
            try:
                row = await self._pool.fetchrow(self._sql["measure_backlog"])
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                continue  # the relaying itself reports a lost database
            if row is not None:
                PENDING.labels(self._schema).set(row["pending"])
                OLDEST.labels(self._schema).set(row["oldest_age"])
