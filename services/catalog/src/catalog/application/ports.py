"""Interfaces that the use cases need from adapters."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from catalog.domain.event import Event, EventChange
from catalog.domain.list_events import EventPageRequest
from catalog.domain.local_times import Schedule

Clock = Callable[[], datetime]
"""Returns the time, in UTC."""

NewId = Callable[[], UUID]


@dataclass(frozen=True)
class EventPage:
    """One page of a list; `next_cursor` is empty on the last page."""

    events: tuple[Event, ...]
    next_cursor: str = ""


class EventRepository(Protocol):
    """Stores events."""

    async def get(self, event_id: UUID) -> Event | None:
        """Return the event, or None."""

    async def get_many(self, event_ids: Sequence[UUID]) -> list[Event]:
        """Return the events that exist, in no particular order."""

    async def get_page(self, request: EventPageRequest) -> EventPage:
        """Return one page.

        Raises:
            InvalidQuery: the cursor does not belong to this list.
        """

    async def save(self, change: EventChange) -> None:
        """Store a change together with its integration event, both or neither.

        Raises:
            StaleVersion: the stored version is not the one before the change's.
        """


class ScheduleSource(Protocol):
    """Reads the times of events."""

    def unfinished(self, now: datetime) -> AsyncIterator[Schedule]:
        """Yield the drafts and published events that end after `now`, the earliest start first."""


class Inventory(Protocol):
    """Capacities, held and sold tickets. The booking service owns them."""

    async def shrink(self, event_id: UUID, capacities: Mapping[UUID, int]) -> None:
        """Lower the capacity of each ticket type to the given one, all or none.

        Raises:
            CapacityBelowTaken: more tickets are sold or held than the new capacity allows.
            BookingUnavailable: the booking service cannot be reached.
        """
