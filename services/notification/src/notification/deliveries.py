"""The state of every delivery, and the leases that keep workers from sending one twice."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid4

import asyncpg
from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.messaging.consumer import RetryableError
from goticket_platform.postgres import is_transient, load_queries
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_fixed

from notification.bookings import NotificationRequest

COMPLETE_SECONDS = 3.0
"""The record of an outcome is retried for this long while PostgreSQL is unavailable."""
COMPLETE_RETRY_SECONDS = 0.2
PURGE_BATCH_SIZE = 1_000
"""Most rows deleted by one statement: none holds locks, or a worker, for long."""
PURGE_INTERVAL_SECONDS = 3600.0

QUERIES = load_queries("notification")

_BUSY = "busy"

logger = get_logger(__name__)


class Status(StrEnum):
    """State of a delivery; the migration explains each."""

    SENDING = "sending"
    SENT = "sent"
    SUPERSEDED = "superseded"
    DEFERRED = "deferred"
    REFUSED = "refused"


class DeliveryInProgress(RetryableError):
    """Another worker holds a lease on a delivery about the same booking."""


@dataclass(frozen=True)
class Claim:
    """The result of a claim. The caller may send only if `status` is SENDING."""

    message_id: UUID
    lease_token: UUID
    status: Status


class DeliveryStore:
    """Claims deliveries, and records their outcomes, in short transactions.

    No connection and no transaction is held while an e-mail is being sent. `lease` must be
    longer than any attempt to send.
    """

    def __init__(self, pool: asyncpg.Pool, lease: timedelta) -> None:
        self._pool = pool
        self._lease = lease

    async def claim(self, request: NotificationRequest) -> Claim:
        """Lease the delivery of the message, unless it is sent or superseded.

        Raises:
            DeliveryInProgress: a delivery about the same booking has a live lease. E-mails
                about one booking are sent one after another, in the order of its versions.
            asyncpg.LockNotAvailableError: other claims for the booking take too long.
        """
        token = uuid4()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(QUERIES["lock_booking"], request.booking_id)
            status = await connection.fetchval(
                QUERIES["claim"],
                request.message_id,
                request.booking_id,
                request.booking_version,
                request.kind,
                token,
                self._lease,
            )
        if status == _BUSY:
            raise DeliveryInProgress("another worker is sending an e-mail about this booking")
        return Claim(request.message_id, token, Status(status))

    async def complete(self, claim: Claim, status: Status, reason: str | None = None) -> None:
        """Record the outcome and release the lease.

        A short outage of PostgreSQL is retried: without the record the e-mail would be repeated.
        """
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_delay(COMPLETE_SECONDS),
            wait=wait_fixed(COMPLETE_RETRY_SECONDS),
            reraise=True,
        ):
            with attempt:
                await self._pool.execute(
                    QUERIES["complete"], claim.message_id, claim.lease_token, status, reason
                )


async def purge_deliveries(
    pool: asyncpg.Pool, older_than: timedelta, *, batch_size: int = PURGE_BATCH_SIZE
) -> int:
    """Delete deliveries that were created longer ago than `older_than`; return how many.

    Several processes may run it concurrently. `older_than` must be longer than a message can wait
    in a retry queue or as a dead letter: without its delivery, a message is sent again.
    """
    before = datetime.now(UTC) - older_than
    purged = 0
    while True:
        status = await pool.execute(QUERIES["purge"], before, batch_size)
        count = int(status.rpartition(" ")[2])
        purged += count
        if count < batch_size:
            return purged


async def purge_deliveries_periodically(
    pool: asyncpg.Pool,
    older_than: timedelta,
    stop: Stop,
    *,
    interval: float = PURGE_INTERVAL_SECONDS,
) -> None:
    """Purge now and every `interval` seconds until `stop`. Failures are logged, not raised."""
    while True:
        try:
            purged = await purge_deliveries(pool, older_than)
            logger.info("deliveries purged", count=purged)
        except Exception as error:
            logger.warning(
                "purging deliveries failed",
                reason=type(error).__name__,
                exc_info=None if is_transient(error) else error,
            )
        if await stop.wait(interval):
            return
