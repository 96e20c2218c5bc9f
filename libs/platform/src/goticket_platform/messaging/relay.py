"""The relay: publishes outbox rows to RabbitMQ at least once, in order within an aggregate."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import MappingProxyType

import asyncpg
from aio_pika.exceptions import DeliveryError
from aiormq.exceptions import ChannelClosed
from goticket_contracts.topology import TOPOLOGY, Topology
from prometheus_client import Counter, Gauge

from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.messaging.broker import (
    BrokerLost,
    NotConnected,
    keep_connected,
    open_channel,
)
from goticket_platform.messaging.cloudevents import PublishedMessage
from goticket_platform.messaging.outbox_listener import listen
from goticket_platform.messaging.publisher import OutgoingMessage, Publisher
from goticket_platform.messaging.statements import outbox_channel, statements
from goticket_platform.postgres import DATABASE_ERRORS, INDEX_ONLY_SETTINGS
from goticket_platform.retry import Outage

BATCH_SIZE = 500
"""Most messages claimed in one transaction."""
CONCURRENT_BATCHES = 2
"""While one batch waits for its confirms, the next is claimed and sent."""
POLL_SECONDS = 1.0
"""The relay waits this long for a notification: the longest delay after a lost NOTIFY."""
CONFIRM_SECONDS = 10.0
"""Time limit for the broker's confirms of one batch."""
MEASURE_SECONDS = 5.0
"""Interval between measurements of the backlog."""
COUNT_LIMIT = 10_000
"""Up to this many pending messages are counted; a larger backlog is estimated."""
RELAY_SETTINGS = MappingProxyType({**INDEX_ONLY_SETTINGS, "enable_sort": "off"})
"""Settings of a relay's sessions. A claim reads the oldest rows along the indexes. The outbox is
nearly empty most of the time, and by its statistics the planner would prefer to sort it."""

OUTBOX_PENDING = Gauge("goticket_outbox_pending", "Messages that wait in the outbox", ["schema"])
OUTBOX_OLDEST_AGE = Gauge(
    "goticket_outbox_oldest_age_seconds", "Age of the oldest message in the outbox", ["schema"]
)
OUTBOX_PUBLISHED = Counter(
    "goticket_outbox_published", "Messages that the broker confirmed", ["schema"]
)
OUTBOX_PUBLISH_FAILURES = Counter(
    "goticket_outbox_publish_failures", "Messages that the broker rejected", ["schema"]
)

logger = get_logger(__name__)


class _BatchResult:
    """The ids of the confirmed and rejected rows of a batch, and how many are unconfirmed."""

    def __init__(self, rows: Sequence[asyncpg.Record], errors: Sequence[Exception | None]) -> None:
        self.confirmed: list[int] = []
        self.rejected: list[int] = []
        """The broker did not take them: they are delayed, other messages go on."""
        self.unconfirmed = 0
        """The connection is unusable, and they are published again."""
        self.is_refused = any(isinstance(error, ChannelClosed) for error in errors)
        """The broker closed the channel because of a message, such as one of a type that this
        user may not publish. It does not say because of which."""
        is_culprit = self.is_refused and len(rows) == 1
        for row, error in zip(rows, errors, strict=True):
            if error is None:
                self.confirmed.append(row["id"])
            elif is_culprit or isinstance(error, DeliveryError | ValueError | TypeError):
                self.rejected.append(row["id"])
                _log_rejection(row, error)
            else:
                self.unconfirmed += 1


def _log_rejection(row: asyncpg.Record, error: Exception) -> None:
    logger.error(
        "message rejected",
        message_id=str(row["message_id"]),
        message_type=row["type"],
        attempts=row["attempts"] + 1,
        reason=f"{type(error).__name__}: {error}",
    )


def _trace_headers(row: asyncpg.Record) -> Mapping[str, str]:
    """Return the trace headers of a message; invalid ones do not keep it from being published."""
    try:
        headers = json.loads(row["headers"])
    except ValueError:
        return {}
    if not isinstance(headers, dict):
        return {}
    return {name: value for name, value in headers.items() if isinstance(value, str)}


class Relay:
    """Publishes the outbox of one schema. Any number of relays may run concurrently.

    `pool` needs CONCURRENT_BATCHES connections and one that listens for notifications. Its
    sessions need RELAY_SETTINGS to be fast. `source` is the CloudEvents source, such as
    "/goticket/booking".
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        amqp_url: str,
        schema: str,
        source: str,
        *,
        topology: Topology = TOPOLOGY,
        batch: int = BATCH_SIZE,
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
        self._claim_lock = asyncio.Lock()
        self._connected = False
        self._single_rows = 0
        """Number of rows to publish one by one, to find the one that the broker refuses."""

    async def check(self) -> None:
        """Readiness check.

        Raises:
            NotConnected: no connection to the broker.
        """
        if not self._connected:
            raise NotConnected

    async def run(self, stop: Stop) -> None:
        """Relay until `stop`, through any loss of broker or database; finish batches in flight."""
        async with asyncio.TaskGroup() as tasks:
            channel = outbox_channel(self._schema)
            tasks.create_task(listen(self._pool, channel, self._wake.set, stop))
            tasks.create_task(self._measure_backlog(stop))
            tasks.create_task(self._wake_on_stop(stop))
            await keep_connected(
                stop, lambda outage: self._session(stop, outage), name=self._connection_name
            )

    @property
    def _connection_name(self) -> str:
        return f"{self._schema} relay"

    async def _session(self, stop: Stop, outage: Outage) -> None:
        async with open_channel(self._amqp_url, self._topology, name=self._connection_name) as (
            channel,
            exchange,
        ):
            publisher = await Publisher.on(channel, exchange.name)
            workers = [
                asyncio.create_task(self._relay_batches(stop, outage, publisher))
                for _ in range(CONCURRENT_BATCHES)
            ]
            self._connected = True
            try:
                await asyncio.gather(*workers)
            finally:
                self._connected = False
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def _relay_batches(self, stop: Stop, outage: Outage, publisher: Publisher) -> None:
        """Relay batch after batch until `stop`. One worker at a time claims rows."""
        while not stop.is_set():
            async with AsyncExitStack() as claim:
                # The worker that holds the lock claims rows, or waits until there are some.
                await claim.enter_async_context(self._claim_lock)
                if publisher.is_closed:
                    raise BrokerLost("the channel was closed")
                # Cleared before the claim: rows that are committed during it set it again.
                self._wake.clear()
                if await self._relay_batch(publisher, claim):
                    outage.end()
                    # The successors of the published messages can be claimed now.
                    self._wake.set()
                elif not stop.is_set():
                    await self._wait_for_wake()

    async def _relay_batch(self, publisher: Publisher, claim: AsyncExitStack) -> int:
        """Publish and delete one batch; return how many messages it had.

        Releases the claim lock once the rows are claimed. The rows stay locked until they are
        deleted, and their successors cannot be claimed by other workers and relays. So the
        messages of an aggregate are published one after another. A crash after the publish and
        before the commit publishes the batch again: consumers ignore messages in their inbox.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            size = 1 if self._single_rows else self._batch
            rows = await connection.fetch(self._sql["claim_heads"], size)
            if not rows:
                return 0
            await claim.aclose()
            errors = await publisher.publish(
                [OutgoingMessage(self._message(row), _trace_headers(row)) for row in rows],
                CONFIRM_SECONDS,
            )
            result = _BatchResult(rows, errors)
            self._isolate(result, len(rows))
            if result.confirmed:
                await connection.execute(self._sql["delete_published"], result.confirmed)
            if result.rejected:
                await connection.execute(self._sql["delay_rejected"], result.rejected)
        OUTBOX_PUBLISHED.labels(self._schema).inc(len(result.confirmed))
        OUTBOX_PUBLISH_FAILURES.labels(self._schema).inc(len(result.rejected))
        if result.unconfirmed or result.is_refused:
            raise BrokerLost(f"{result.unconfirmed} of {len(rows)} messages were not confirmed")
        return len(rows)

    def _isolate(self, result: _BatchResult, size: int) -> None:
        """After a refused batch, publish its rows one by one until one of them is refused.

        Without this the same batch would be refused for ever. Another worker's row, which was in
        flight on the same channel, may be delayed too: that costs it a second.
        """
        if result.is_refused:
            self._single_rows = size if size > 1 else 0
        else:
            self._single_rows = max(0, self._single_rows - size)

    def _message(self, row: asyncpg.Record) -> PublishedMessage:
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

    async def _wait_for_wake(self) -> None:
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _wake_on_stop(self, stop: Stop) -> None:
        await stop.wait()
        self._wake.set()

    async def _measure_backlog(self, stop: Stop) -> None:
        while not await stop.wait(MEASURE_SECONDS):
            try:
                row = await self._pool.fetchrow(self._sql["measure_backlog"], COUNT_LIMIT)
            except DATABASE_ERRORS:
                continue  # the workers log a lost database
            if row is not None:
                OUTBOX_PENDING.labels(self._schema).set(row["pending"])
                OUTBOX_OLDEST_AGE.labels(self._schema).set(row["oldest_age"])
