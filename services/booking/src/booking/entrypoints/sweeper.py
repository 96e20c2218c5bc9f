"""The sweeper: work that becomes due with time.

Any number of sweepers may run. Each task consists of short transactions, so a stop takes effect
after the current one. Work that fails is postponed, and the work behind it is always reached: due
rows are read in pages, and a batch that fails is repeated in halves.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from goticket_kernel.errors import DomainError
from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.postgres import is_transient
from prometheus_client import Counter

from booking.application.commands.close_cancelled_event import close_bookings, finish_closing
from booking.application.commands.expire_holds import BATCH_SIZE as HOLDS_PER_BATCH
from booking.application.commands.expire_holds import expire_holds
from booking.application.commands.purge_idempotency_keys import BATCH_SIZE as KEYS_PER_BATCH
from booking.application.commands.purge_idempotency_keys import purge_idempotency_keys
from booking.application.commands.resync_events import resync_events
from booking.application.ports import (
    FIRST_ID,
    BookingStore,
    Catalog,
    Clock,
    DueHold,
    MaintenanceQueries,
)
from booking.domain.errors import Busy, CatalogUnavailable
from booking.entrypoints.postponed_work import PostponedWork

PAUSE_SECONDS = 1.0
EXPIRE, CLOSE, RESYNC = "expire_holds", "close_cancelled_events", "resync_events"
PURGE = "purge_idempotency_keys"
MAX_OUTAGES = 3
"""After this many transient failures in succession a task ends until the next round."""

EXPIRED = Counter("goticket_holds_expired", "Holds that this sweeper has expired")
PURGED = Counter("goticket_idempotency_keys_purged", "Keys that this sweeper has deleted")
FAILURES = Counter("goticket_sweeper_failures", "Tasks that failed and are retried", ["task"])

logger = get_logger(__name__)

Work = Callable[[Sequence[UUID]], Awaitable[None]]
"""Does the work of some rows, in one transaction."""


@dataclass(frozen=True)
class Sweeper:
    """Does all due tasks in rounds."""

    maintenance: MaintenanceQueries
    bookings: BookingStore
    catalog: Catalog
    now: Clock
    pause: float = PAUSE_SECONDS
    postponed: Mapping[str, PostponedWork] = field(
        default_factory=lambda: {task: PostponedWork() for task in (EXPIRE, CLOSE, RESYNC, PURGE)}
    )

    async def run(self, stop: Stop) -> None:
        """Do due tasks until the stop; a loss of the database does not end it."""
        while not stop.is_set():
            await self.sweep(stop)
            await stop.wait(self.pause)

    async def sweep(self, stop: Stop) -> None:
        """Do all due tasks once."""
        await self._attempt(EXPIRE, self._expire_holds, stop)
        await self._attempt(CLOSE, self._close_cancelled_events, stop)
        await self._attempt(RESYNC, self._resync_events, stop)
        await self._attempt(PURGE, self._purge_keys, stop)

    async def _attempt(
        self, task: str, work: Callable[[Stop], Awaitable[None]], stop: Stop
    ) -> None:
        """Do a task; the next round retries it."""
        complete = False
        try:
            await work(stop)
            complete = not stop.is_set()
        except Exception as error:  # noqa: BLE001 - the other tasks continue after any error
            _log_failure(task, error)
        self.postponed[task].end_round(complete=complete)

    async def _expire_holds(self, stop: Stop) -> None:
        batch = _Batch(EXPIRE, self)
        after: DueHold | None = None
        while due := await self.maintenance.due_holds(self.now(), after):
            for event_id, holds in _by_event(due).items():

                async def expire(hold_ids: Sequence[UUID], event_id: UUID = event_id) -> None:
                    expired = await expire_holds(
                        event_id, hold_ids, bookings=self.bookings, now=self.now
                    )
                    EXPIRED.inc(expired)

                for first in range(0, len(holds), HOLDS_PER_BATCH):
                    if stop.is_set():
                        return
                    await batch.do(holds[first : first + HOLDS_PER_BATCH], expire)
            after = due[-1]

    async def _close_cancelled_events(self, stop: Stop) -> None:
        batch = _Batch(CLOSE, self)
        after = FIRST_ID
        while events := await self.maintenance.events_to_close(after):
            for event_id in events:
                await self._close_bookings(event_id, batch, stop)
                if stop.is_set():
                    return
                await batch.do([event_id], self._finish_closing)
            after = events[-1]

    async def _close_bookings(self, event_id: UUID, batch: "_Batch", stop: Stop) -> None:
        async def close(booking_ids: Sequence[UUID]) -> None:
            await close_bookings(event_id, booking_ids, bookings=self.bookings, now=self.now)

        after = FIRST_ID
        while open_ids := await self.maintenance.open_bookings(event_id, after):
            if stop.is_set():
                return
            await batch.do(open_ids, close)
            after = open_ids[-1]

    async def _finish_closing(self, event_ids: Sequence[UUID]) -> None:
        for event_id in event_ids:
            await finish_closing(event_id, bookings=self.bookings)

    async def _resync_events(self, stop: Stop) -> None:
        async def resync(event_ids: Sequence[UUID]) -> None:
            unknown = await resync_events(
                event_ids, catalog=self.catalog, bookings=self.bookings, now=self.now
            )
            self.postponed[RESYNC].postpone(unknown, self.now())

        batch = _Batch(RESYNC, self)
        after = FIRST_ID
        while events := await self.maintenance.events_to_resync(self.now(), after):
            if stop.is_set():
                return
            await batch.do(events, resync)
            after = events[-1]

    async def _purge_keys(self, stop: Stop) -> None:
        purged = KEYS_PER_BATCH
        while purged == KEYS_PER_BATCH and not stop.is_set():
            purged = await purge_idempotency_keys(maintenance=self.maintenance, now=self.now)
            PURGED.inc(purged)


class _Batch:
    """The batches of one task in one round, without the rows whose work is postponed."""

    def __init__(self, task: str, sweeper: Sweeper) -> None:
        self._task = task
        self._postponed = sweeper.postponed[task]
        self._now = sweeper.now
        self._outages = 0

    async def do(self, keys: Sequence[UUID], work: Work) -> None:
        """Do the work of the rows that are due; postpone those that fail.

        Raises:
            Exception: an outage that ends the task: of the catalog, or of the database several
                times in succession.
        """
        now = self._now()
        if due := [key for key in keys if self._postponed.is_due(key, now)]:
            await self._do(due, work)

    async def _do(self, keys: Sequence[UUID], work: Work) -> None:
        try:
            await work(keys)
        except CatalogUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - other rows are reached after any error
            if isinstance(error, Busy) or is_transient(error):
                # Possibly only these rows: others are tried before the database is given up.
                self._postpone_outage(keys, error)
            elif len(keys) == 1:
                _log_failure(self._task, error, key=str(keys[0]))
                self._postpone(keys)
            else:
                middle = len(keys) // 2
                await self._do(keys[:middle], work)
                await self._do(keys[middle:], work)
        else:
            self._outages = 0

    def _postpone_outage(self, keys: Sequence[UUID], error: Exception) -> None:
        self._postpone(keys)
        self._outages += 1
        if self._outages == MAX_OUTAGES:
            raise error
        _log_failure(self._task, error)

    def _postpone(self, keys: Sequence[UUID]) -> None:
        self._postponed.postpone(keys, self._now())


def _by_event(holds: Sequence[DueHold]) -> dict[UUID, list[UUID]]:
    """Group the ids of holds by their event, in the order of the events' first holds."""
    grouped: dict[UUID, list[UUID]] = {}
    for hold in holds:
        grouped.setdefault(hold.event_id, []).append(hold.booking_id)
    return grouped


def _log_failure(task: str, error: Exception, **context: str) -> None:
    FAILURES.labels(task).inc()
    if isinstance(error, DomainError) or is_transient(error):
        logger.warning("task postponed", task=task, error=type(error).__name__, **context)
    else:
        logger.error("task failed", task=task, exc_info=error, **context)
