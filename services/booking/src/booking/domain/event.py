"""What booking knows of an event; the catalog decides it, booking follows."""

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
    """An event as the catalog last told of it."""

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

    def must_be_bookable(self, now: datetime) -> None:
        """Raise unless tickets can be had: a published event sells until it ends.

        Latecomers buy at the door, so the end counts, not the start. A draft is
        nobody's business yet and looks like no event at all.

        Raises:
            EventNotFound: a draft.
            EventCancelled: called off.
            EventOver: `now` is at or past its end.
        """
        if self.status is EventStatus.DRAFT:
            raise EventNotFound
        self.must_not_be_cancelled()
        if now >= self.ends_at:
            raise EventOver

    def must_not_be_cancelled(self) -> None:
        """Raise EventCancelled for an event that was called off."""
        if self.status is EventStatus.CANCELLED:
            raise EventCancelled


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
    """An event with everything it offers, in the organizer's order."""

    event: Event
    offers: tuple[TicketTypeOffer, ...]
