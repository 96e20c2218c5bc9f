"""Booking's copy of an event. The catalog owns events."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from booking.domain.errors import EventCancelled, EventNotFound, EventOver


class EventStatus(StrEnum):
    """Life of an event: draft -> published -> cancelled, draft -> cancelled."""

    DRAFT = "draft"
    PUBLISHED = "published"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Event:
    """The newest version of an event that booking has received from the catalog."""

    id: UUID
    organizer_id: UUID
    name: str
    location: str
    timezone: str
    starts_at: datetime
    ends_at: datetime
    currency: str
    status: EventStatus
    version: int
    max_per_buyer: int = 0
    """Most tickets of one buyer over all bookings; 0 means no limit."""

    def require_bookable(self, now: datetime) -> None:
        """Raise unless the event is on sale: published, and not over.

        Tickets are sold until the event ends, not until it starts. A draft is not public,
        so the error is the same as for an unknown event.

        Raises:
            EventNotFound: the event is a draft.
            EventCancelled: the event was cancelled.
            EventOver: `now` is at or past its end.
        """
        if self.status is EventStatus.DRAFT:
            raise EventNotFound
        self.require_not_ended(now)

    def require_not_ended(self, now: datetime) -> None:
        """Raise if the event is cancelled or over.

        Raises:
            EventCancelled: the event was cancelled.
            EventOver: `now` is at or past its end.
        """
        if self.status is EventStatus.CANCELLED:
            raise EventCancelled
        if now >= self.ends_at:
            raise EventOver


@dataclass(frozen=True, slots=True)
class TicketTypeOffer:
    """A ticket type as the catalog offers it; `price` in minor units of the event's currency."""

    id: UUID
    name: str
    price: int
    capacity: int
    max_per_booking: int
    max_per_buyer: int = 0


@dataclass(frozen=True, slots=True)
class CatalogEvent:
    """An event with its ticket types, in the organizer's order."""

    event: Event
    offers: tuple[TicketTypeOffer, ...]
