"""Events as the catalog describes them."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from booking.domain.event import Event


class EventRows(Protocol):
    """Events in a transaction."""

    async def lock(self, event_id: UUID) -> None:
        """Lock the event, if booking knows it."""
        ...

    async def save(self, event: Event, read_at: datetime | None) -> bool:
        """Lock and store the event; return False if it is no newer than the stored one.

        The same version is stored too when `read_at`, the time of a read from the
        catalog, is not before the event's `resync_after`.
        """
        ...

    async def finish_closing(self, event_id: UUID) -> None:
        """Mark a cancelled event as closed, if none of its bookings is open."""
        ...
