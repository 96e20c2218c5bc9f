"""Work that becomes due with time."""

from datetime import datetime
from typing import Protocol
from uuid import UUID


class MaintenanceQueries(Protocol):
    """Finds due work; purges old rows."""

    async def events_with_due_holds(self, now: datetime) -> list[UUID]:
        """Return some events with holds past their end."""
        ...

    async def events_to_close(self) -> list[UUID]:
        """Return some cancelled events whose bookings may be open."""
        ...

    async def events_to_resync(self, now: datetime) -> list[UUID]:
        """Return some events to compare with the catalog."""
        ...

    async def purge_idempotency_keys(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` keys first used before that time; return how many."""
        ...
