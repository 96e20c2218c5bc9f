"""Work that becomes due with time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

FIRST_ID: Final = UUID(int=0)
"""Before every id: the position of the first page."""


@dataclass(frozen=True, slots=True)
class DueHold:
    """A hold past its end."""

    event_id: UUID
    booking_id: UUID
    expires_at: datetime


class MaintenanceQueries(Protocol):
    """Finds due work in pages; purges old rows. The page after the last one is empty.

    `after` is the last item of the page before. So work that stays due does not hide other work.
    """

    async def due_holds(self, now: datetime, after: DueHold | None = None) -> list[DueHold]:
        """Return holds past their end, by the time of their end."""
        ...

    async def events_to_close(self, after: UUID = FIRST_ID) -> list[UUID]:
        """Return cancelled events whose bookings may be open, by id."""
        ...

    async def open_bookings(self, event_id: UUID, after: UUID = FIRST_ID) -> list[UUID]:
        """Return held and confirmed bookings of an event, by id."""
        ...

    async def events_to_resync(self, now: datetime, after: UUID = FIRST_ID) -> list[UUID]:
        """Return events to compare with the catalog, by id."""
        ...

    async def purge_idempotency_keys(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` keys first used before that time; return how many."""
        ...
