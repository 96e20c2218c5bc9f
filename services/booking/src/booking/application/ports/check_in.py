"""The check-in list of an event."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from booking.domain.booking import TicketStatus
from booking.domain.event import Event


@dataclass(frozen=True, slots=True)
class CheckInPosition:
    """A place in the list's order of changes: a version, and the last ticket read of it."""

    version: int
    ticket_id: UUID


@dataclass(frozen=True, slots=True)
class CheckInTicket:
    """A ticket as devices at the door know it, and the version of its latest change."""

    id: UUID
    ticket_type_id: UUID
    holder_name: str
    status: TicketStatus
    version: int


class CheckInQueries(Protocol):
    """Reads the tickets of an event in the order of their changes."""

    async def find_event(self, event_id: UUID) -> Event | None:
        """Read an event."""
        ...

    async def check_in_version(self, event_id: UUID) -> int:
        """Return the current version of an event's list; all changes up to it are visible."""
        ...

    async def check_in_tickets(
        self,
        event_id: UUID,
        status: TicketStatus,
        after: CheckInPosition,
        up_to: int,
        limit: int,
    ) -> list[CheckInTicket]:
        """Read tickets in one status that changed after a position, up to a version."""
        ...
