"""The clock's entry point: what has to be done when its time has come.

Any number of sweepers may run. Each duty is cut into short transactions, so that a
stop is heeded within one of them and a failure of one event does not hold up others.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from uuid import UUID

from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.postgres import is_transient
from prometheus_client import Counter

from booking.application.close_cancelled_event import FROM_THE_START, close_cancelled_event
from booking.application.expire_holds import expire_holds
from booking.application.forget_keys import BATCH as KEYS_AT_ONCE
from booking.application.forget_keys import forget_keys
from booking.application.ports import Bookings, Catalog, Clock, Duties
from booking.application.resync_events import resync_events
from booking.domain.errors import DomainError

PAUSE_SECONDS = 1.0
EXPIRE, CLOSE, RESYNC = "expire_holds", "close_cancelled_events", "resync_events"
FORGET = "forget_keys"

EXPIRED = Counter("goticket_holds_expired", "Holds ended by this sweeper")
FORGOTTEN = Counter("goticket_idempotency_keys_purged", "Keys deleted by this sweeper")
FAILURES = Counter("goticket_sweeper_failures", "Duties that failed and wait", ["duty"])

logger = get_logger(__name__)


@dataclass(frozen=True)
class Sweeper:
    """Does the duties over and over."""

    duties: Duties
    bookings: Bookings
    catalog: Catalog
    now: Clock
    pause: float = PAUSE_SECONDS

    async def run(self, stop: Stop) -> None:
        """Sweep until the stop, through any loss of the database."""
        while not stop.is_set():
            await self.sweep(stop)
            await stop.wait(self.pause)

    async def sweep(self, stop: Stop) -> None:
        """Do once whatever is due."""
        await self._attempt(EXPIRE, self._expire_holds(stop))
        await self._attempt(CLOSE, self._close_cancelled_events(stop))
        await self._attempt(RESYNC, self._resync_events())
        await self._attempt(FORGET, self._forget_keys(stop))

    async def _attempt(self, duty: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:
            # Whatever it is, the holds of everybody else must still end: next round.
            FAILURES.labels(duty).inc()
            if isinstance(error, DomainError) or is_transient(error):
                logger.warning("duty has to wait", duty=duty, error=type(error).__name__)
            else:
                logger.exception("duty failed", duty=duty)

    async def _expire_holds(self, stop: Stop) -> None:
        for event_id in await self.duties.events_with_due_holds(self.now()):
            await self._attempt(EXPIRE, self._expire(event_id, stop))

    async def _expire(self, event_id: UUID, stop: Stop) -> None:
        while not stop.is_set():
            count = await expire_holds(event_id, bookings=self.bookings, now=self.now)
            EXPIRED.inc(count)
            if not count:
                return

    async def _close_cancelled_events(self, stop: Stop) -> None:
        for event_id in await self.duties.events_to_close():
            await self._attempt(CLOSE, self._close(event_id, stop))

    async def _close(self, event_id: UUID, stop: Stop) -> None:
        after: UUID | None = FROM_THE_START
        while after is not None and not stop.is_set():
            after = await close_cancelled_event(
                event_id, after, bookings=self.bookings, now=self.now
            )

    async def _resync_events(self) -> None:
        await resync_events(
            duties=self.duties, catalog=self.catalog, bookings=self.bookings, now=self.now
        )

    async def _forget_keys(self, stop: Stop) -> None:
        forgotten = KEYS_AT_ONCE
        while forgotten == KEYS_AT_ONCE and not stop.is_set():
            forgotten = await forget_keys(duties=self.duties, now=self.now)
            FORGOTTEN.inc(forgotten)
