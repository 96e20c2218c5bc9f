"""Periodic work on the queue of deliveries: release due ones, measure, purge old ones."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.postgres import is_transient
from prometheus_client import Gauge

from notification.delivery_queue import CLAIM_LEASE, QUERIES, DeliveryQueue
from notification.event_changes import QUERIES as EVENT_QUERIES

RELEASE_SECONDS = 0.5
RENEW_SECONDS = CLAIM_LEASE.total_seconds() / 5
MEASURE_SECONDS = 5.0
COUNT_LIMIT = 10_000
"""Rows are counted up to this number; counting more would slow down the senders."""
PURGE_BATCH_SIZE = 1_000
"""Most rows deleted by one statement: none holds locks, or a worker, for long."""
PURGE_SECONDS = 3600.0

UNFINISHED = Gauge(
    "goticket_notification_deliveries_unfinished",
    f"Deliveries to send, counted up to {COUNT_LIMIT}",
)
OLDEST_SECONDS = Gauge(
    "goticket_notification_oldest_delivery_seconds",
    "Age of the oldest delivery to send",
)
REFUSED = Gauge(
    "goticket_notification_deliveries_refused",
    f"Refused deliveries, counted up to {COUNT_LIMIT}",
)

logger = get_logger(__name__)


async def release_due_deliveries(
    queue: DeliveryQueue, wake: Callable[[], None], stop: Stop, *, interval: float = RELEASE_SECONDS
) -> None:
    """Make deliveries pending when their back-off or lease ends, until `stop`."""

    async def release() -> None:
        if await queue.release_due():
            wake()

    await _periodically(release, "releasing due deliveries failed", interval, stop)


async def renew_claims_periodically(
    queue: DeliveryQueue, stop: Stop, *, interval: float = RENEW_SECONDS
) -> None:
    """Extend the claims of this worker every `interval` seconds until `stop`."""
    await _periodically(queue.renew_claims, "renewing claims failed", interval, stop)


async def measure_backlog_periodically(
    pool: asyncpg.Pool, stop: Stop, *, interval: float = MEASURE_SECONDS
) -> None:
    """Set the gauges of the backlog every `interval` seconds until `stop`."""

    async def measure() -> None:
        [row] = await pool.fetch(QUERIES["measure_backlog"], COUNT_LIMIT)
        UNFINISHED.set(row["unfinished"])
        OLDEST_SECONDS.set(row["oldest_age"])
        REFUSED.set(row["refused"])

    await _periodically(measure, "measuring the backlog failed", interval, stop)


async def purge_deliveries(
    pool: asyncpg.Pool, older_than: timedelta, *, batch_size: int = PURGE_BATCH_SIZE
) -> int:
    """Delete finished deliveries created longer ago than `older_than`; return how many.

    Several processes may run it concurrently. `older_than` must be longer than a message can wait
    in a retry queue or as a dead letter: without its delivery, a message is sent again.
    """
    return await _purge(pool, QUERIES["purge"], older_than, batch_size)


async def purge_event_changes(
    pool: asyncpg.Pool, older_than: timedelta, *, batch_size: int = PURGE_BATCH_SIZE
) -> int:
    """Delete events and announcements that ended longer ago than `older_than`; return how many."""
    return sum(
        [
            await _purge(pool, EVENT_QUERIES[name], older_than, batch_size)
            for name in ("purge_events", "purge_announcements")
        ]
    )


async def _purge(pool: asyncpg.Pool, statement: str, older_than: timedelta, batch_size: int) -> int:
    before = datetime.now(UTC) - older_than
    purged = 0
    while True:
        status = await pool.execute(statement, before, batch_size)
        count = int(status.rpartition(" ")[2])
        purged += count
        if count < batch_size:
            return purged


async def purge_deliveries_periodically(
    pool: asyncpg.Pool, older_than: timedelta, stop: Stop, *, interval: float = PURGE_SECONDS
) -> None:
    """Purge deliveries and event changes now and every `interval` seconds until `stop`."""

    async def purge() -> None:
        logger.info("deliveries purged", count=await purge_deliveries(pool, older_than))
        logger.info("event changes purged", count=await purge_event_changes(pool, older_than))

    await _periodically(purge, "purging deliveries failed", interval, stop)


async def _periodically(
    work: Callable[[], Awaitable[None]], failed: str, interval: float, stop: Stop
) -> None:
    """Do the work now and every `interval` seconds. Failures are logged, not raised."""
    while True:
        try:
            await work()
        except Exception as error:
            logger.warning(
                failed,
                reason=type(error).__name__,
                exc_info=None if is_transient(error) else error,
            )
        if await stop.wait(interval):
            return
