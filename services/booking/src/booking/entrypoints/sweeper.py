"""The sweeper: work that becomes due with time.

Any number of sweepers may run. Each task consists of short transactions. So a stop takes
effect after the current one, and a failure of one event does not delay the others.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from uuid import UUID

from goticket_kernel.errors import DomainError
from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.postgres import is_transient
from prometheus_client import Counter

from booking.application.commands.close_cancelled_event import FIRST_ID, close_cancelled_event
from booking.application.commands.expire_holds import expire_holds
from booking.application.commands.purge_idempotency_keys import BATCH_SIZE as KEYS_PER_BATCH
from booking.application.commands.purge_idempotency_keys import purge_idempotency_keys
from booking.application.commands.resync_events import resync_events
from booking.application.ports import BookingStore, Catalog, Clock, MaintenanceQueries

PAUSE_SECONDS = 1.0
EXPIRE, CLOSE, RESYNC = "expire_holds", "close_cancelled_events", "resync_events"
PURGE = "purge_idempotency_keys"

EXPIRED = Counter("goticket_holds_expired", "Holds that this sweeper has expired")
PURGED = Counter("goticket_idempotency_keys_purged", "Keys that this sweeper has deleted")
FAILURES = Counter("goticket_sweeper_failures", "Tasks that failed and are retried", ["task"])

logger = get_logger(__name__)


@dataclass(frozen=True)
class Sweeper:
    """Does all due tasks in rounds."""

    maintenance: MaintenanceQueries
    bookings: BookingStore
    catalog: Catalog
    now: Clock
    pause: float = PAUSE_SECONDS

    async def run(self, stop: Stop) -> None:
        """Do due tasks until the stop; a loss of the database does not end it."""
        while not stop.is_set():
            await self.sweep(stop)
            await stop.wait(self.pause)

    async def sweep(self, stop: Stop) -> None:
        """Do all due tasks once."""
        await self._attempt(EXPIRE, self._expire_holds(stop))
        await self._attempt(CLOSE, self._close_cancelled_events(stop))
        await self._attempt(RESYNC, self._resync_events())
        await self._attempt(PURGE, self._purge_keys(stop))

    async def _attempt(self, task: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:
            # The other tasks continue after any error; the next round retries this one.
            FAILURES.labels(task).inc()
            if isinstance(error, DomainError) or is_transient(error):
                logger.warning("task postponed", task=task, error=type(error).__name__)
            else:
                logger.exception("task failed", task=task)

    async def _expire_holds(self, stop: Stop) -> None:
        for event_id in await self.maintenance.events_with_due_holds(self.now()):
            await self._attempt(EXPIRE, self._expire(event_id, stop))

    async def _expire(self, event_id: UUID, stop: Stop) -> None:
        while not stop.is_set():
            count = await expire_holds(event_id, bookings=self.bookings, now=self.now)
            EXPIRED.inc(count)
            if not count:
                return

    async def _close_cancelled_events(self, stop: Stop) -> None:
        for event_id in await self.maintenance.events_to_close():
            await self._attempt(CLOSE, self._close(event_id, stop))

    async def _close(self, event_id: UUID, stop: Stop) -> None:
        after: UUID | None = FIRST_ID
        while after is not None and not stop.is_set():
            after = await close_cancelled_event(
                event_id, after, bookings=self.bookings, now=self.now
            )

    async def _resync_events(self) -> None:
        await resync_events(
            maintenance=self.maintenance, catalog=self.catalog, bookings=self.bookings, now=self.now
        )

    async def _purge_keys(self, stop: Stop) -> None:
        purged = KEYS_PER_BATCH
        while purged == KEYS_PER_BATCH and not stop.is_set():
            purged = await purge_idempotency_keys(maintenance=self.maintenance, now=self.now)
            PURGED.inc(purged)
