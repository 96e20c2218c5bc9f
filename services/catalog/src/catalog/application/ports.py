"""What the use cases need from outside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from catalog.domain.event import Event, EventChange
from catalog.domain.listing import EventListing

Clock = Callable[[], datetime]
"""Tells the time, in UTC."""

NewId = Callable[[], UUID]


@dataclass(frozen=True)
class EventPage:
    """One page of a list; `next_cursor` is empty on the last one."""

    events: tuple[Event, ...]
    next_cursor: str = ""


class Events(Protocol):
    """Where events are kept."""

    async def get(self, event_id: UUID) -> Event | None:
        """Return the event, or None."""

    async def get_many(self, event_ids: Sequence[UUID]) -> list[Event]:
        """Return those of the events that exist, in no particular order."""

    async def page(self, listing: EventListing) -> EventPage:
        """Return one page.

        Raises:
            InvalidQuery: the cursor is not one of this list.
        """

    async def save(self, change: EventChange) -> None:
        """Store what happened and announce it, both or neither.

        Raises:
            StaleVersion: the stored version is not the one just before the change's.
        """


class Stock(Protocol):
    """Who knows how many tickets are sold."""

    async def shrink(self, event_id: UUID, capacities: Mapping[UUID, int]) -> None:
        """Lower the capacity of each ticket type to the given one, all or none.

        Raises:
            CapacityBelowTaken: more are sold or held than would be left.
            BookingUnavailable: it cannot be known now.
        """

    async def follow(self, event: Event) -> None:
        """Tell of a saved change at once, ahead of its message; never raises.

        What this does not reach, the message does, a moment later.
        """
