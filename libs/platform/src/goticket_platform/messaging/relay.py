"""The relay: moves events from the outbox to RabbitMQ, at least once, in order per aggregate."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import MappingProxyType

import asyncpg
from aio_pika.exceptions import DeliveryError
from goticket_contracts.topology import TOPOLOGY, Topology
from prometheus_client import Counter, Gauge

from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.messaging.broker import (
    Backoff,
    BrokerLost,
    NotConnected,
    keep_connected,
    open_channel,
)
from goticket_platform.messaging.cloudevents import PublishedMessage
from goticket_platform.messaging.outbox_listener import listen
from goticket_platform.messaging.publisher import OutgoingMessage, Publisher
from goticket_platform.messaging.statements import outbox_channel, statements
from goticket_platform.postgres import INDEX_ONLY_SETTINGS

BATCH = 500
"""Most events claimed in one transaction."""
OVERLAP = 2
"""Batches at once: while one waits for its confirms, the next is claimed and sent."""
POLL_SECONDS = 1.0
"""How long to sleep when no wake-up comes: the bound on a lost NOTIFY."""
PUBLISH_SECONDS = 10.0
"""How long the broker may take to confirm one batch."""
SAMPLE_SECONDS = 5.0
"""How often the backlog is measured."""
COUNTED = 10_000
"""Up to here waiting events are counted; of more, the gauge says what the statistics estimate."""
INDEXES_ONLY = MappingProxyType({**INDEX_ONLY_SETTINGS, "enable_sort": "off"})
"""Settings of a relay's sessions. A claim reads the oldest rows along the indexes; by the
statistics of an outbox that is nearly empty, as it mostly is, sorting them would look cheaper."""
PENDING = Gauge("goticket_outbox_pending", "Events that wait in the outbox", ["schema"])
OLDEST = Gauge("goticket_outbox_oldest_age_seconds", "Age of the oldest waiting event", ["schema"])
PUBLISHED = Counter("goticket_outbox_published", "Events the broker confirmed", ["schema"])
REFUSED = Counter("goticket_outbox_publish_failures", "Events the broker did not take", ["schema"])

logger = get_logger(__name__)


class _Settled:
    """Which of the claimed rows may go, which must wait, and how many got no answer."""

    def __init__(self, rows: Sequence[asyncpg.Record], answers: Sequence[Exception | None]) -> None:
        self.confirmed: list[int] = []
        self.refused: list[int] = []
        """The broker answered and did not take them: they wait, others go on."""
        self.unknown = 0
        """The connection is of no more use, and they go again."""
        for row, error in zip(rows, answers, strict=True):
            if error is None:
                self.confirmed.append(row["id"])
            elif isinstance(error, DeliveryError | ValueError | TypeError):
                self.refused.append(row["id"])
                _log_refusal(row, error)
            else:
                self.unknown += 1


def _log_refusal(row: asyncpg.Record, error: Exception) -> None:
    logger.error(
        "event refused",
        message_id=str(row["message_id"]),
        message_type=row["type"],
        attempts=row["attempts"] + 1,
        reason=f"{type(error).__name__}: {error}",
    )


class Relay:
    """Publishes the outbox of one schema. Any number may run at once.

    `pool` needs OVERLAP connections and one that listens for wake-ups, and INDEXES_ONLY
    to be fast. `source` is the CloudEvents source, such as "/goticket/booking".
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
        self._turn = asyncio.Lock()
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
            publisher = await Publisher.on(channel, exchange.name)
            workers = [
                asyncio.create_task(self._work(stop, backoff, publisher)) for _ in range(OVERLAP)
            ]
            self._connected = True
            try:
                await asyncio.gather(*workers)
            finally:
                self._connected = False
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, stop: Stop, backoff: Backoff, publisher: Publisher) -> None:
        """Relay batch after batch until `stop`, taking turns with the other workers."""
        while not stop.is_set():
            async with AsyncExitStack() as turn:
                # Whoever has the turn looks for rows, and sleeps when there are none.
                await turn.enter_async_context(self._turn)
                if publisher.is_closed:
                    raise BrokerLost("the channel was closed")
                # Cleared before looking: what commits during the look wakes again.
                self._wake.clear()
                if await self._relay_batch(publisher, turn):
                    backoff.reset()
                    # Successors of what has just left may leave now.
                    self._wake.set()
                elif not stop.is_set():
                    await self._sleep()

    async def _relay_batch(self, publisher: Publisher, turn: AsyncExitStack) -> int:
        """Publish and forget one batch; return how many events it had.

        Gives up the turn once the rows are claimed. They stay locked until they are
        deleted, and hide their successors from the other workers and relays: so an
        aggregate's events leave one after another. A crash after the publish and before
        the commit publishes the batch again: consumers drop what they have seen.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(self._sql["claim_heads"], self._batch)
            if not rows:
                return 0
            await turn.aclose()
            answers = await publisher.publish(
                [OutgoingMessage(self._event(row), json.loads(row["headers"])) for row in rows],
                PUBLISH_SECONDS,
            )
            settled = _Settled(rows, answers)
            if settled.confirmed:
                await connection.execute(self._sql["delete_published"], settled.confirmed)
            if settled.refused:
                await connection.execute(self._sql["back_off"], settled.refused)
        PUBLISHED.labels(self._schema).inc(len(settled.confirmed))
        REFUSED.labels(self._schema).inc(len(settled.refused))
        if settled.unknown:
            raise BrokerLost(f"{settled.unknown} of {len(rows)} events were not confirmed")
        return len(rows)

    def _event(self, row: asyncpg.Record) -> PublishedMessage:
        return PublishedMessage(
            id=row["message_id"],
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
                row = await self._pool.fetchrow(self._sql["measure_backlog"], COUNTED)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                continue  # the relaying itself reports a lost database
            if row is not None:
                PENDING.labels(self._schema).set(row["pending"])
                OLDEST.labels(self._schema).set(row["oldest_age"])
