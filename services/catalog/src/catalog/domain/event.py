"""An event, its ticket types, and what may happen to it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from catalog.domain.actor import Actor
from catalog.domain.errors import (
    EventIsCancelled,
    EventNotFound,
    FieldError,
    InvalidEvent,
    NotAllowed,
    StaleVersion,
)


class EventStatus(StrEnum):
    """Life of an event: draft -> published -> cancelled, draft -> cancelled."""

    DRAFT = "draft"
    PUBLISHED = "published"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class TicketType:
    """A priced, counted kind of admission; `price` in minor units of the event's currency.

    `max_per_buyer` counts over all bookings of one buyer; 0 is no limit.
    """

    id: UUID
    name: str
    price: int
    capacity: int
    max_per_booking: int
    max_per_buyer: int = 0


@dataclass(frozen=True)
class EventDetails:
    """What the organizer says about an event, ticket types apart.

    `max_per_buyer` counts tickets of every type over all bookings of one buyer; 0 is no limit.
    """

    name: str
    description: str
    location: str
    currency: str
    timezone: str
    starts_at: datetime
    ends_at: datetime
    max_per_buyer: int = 0


@dataclass(frozen=True)
class Event:
    """Something people can get tickets for; `version` grows by one with every change.

    `published_at` is None until it first goes on sale.
    """

    id: UUID
    organizer_id: UUID
    details: EventDetails
    ticket_types: tuple[TicketType, ...]
    status: EventStatus
    version: int
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None

    def visible_to(self, actor: Actor | None) -> bool:
        """Tell whether `actor` (None: the public) may see it.

        What was never published is private: a draft, and a draft that was cancelled.
        """
        if self.published_at is not None:
            return True
        return actor is not None and (actor.is_admin or actor.user_id == self.organizer_id)

    def require_changeable_by(self, actor: Actor | None, expected_version: int | None) -> None:
        """Check that `actor` may change it and knows its present version (None: skips that).

        Raises:
            EventNotFound: it is somebody else's and was never published.
            NotAllowed: it is neither the actor's own nor is the actor an admin.
            StaleVersion: it has changed since `expected_version`.
        """
        if not self.visible_to(actor):
            raise EventNotFound
        owns = actor is not None and actor.is_organizer and actor.user_id == self.organizer_id
        if not (owns or (actor is not None and actor.is_admin)):
            raise NotAllowed
        if expected_version is not None and expected_version != self.version:
            raise StaleVersion

    def publish(self, now: datetime) -> "EventPublished | None":
        """Put a draft on sale; None when it already is.

        Raises:
            EventIsCancelled: it was called off.
            InvalidEvent: it has already started.
        """
        if self.status is EventStatus.PUBLISHED:
            return None
        if self.status is EventStatus.CANCELLED:
            raise EventIsCancelled
        if self.details.starts_at < now:
            raise InvalidEvent([FieldError("startAt", "has passed; move it before publishing")])
        return EventPublished(self.next_version(now, status=EventStatus.PUBLISHED))

    def cancel(self, now: datetime) -> "EventCancelled | None":
        """Call it off for good; None when it already is."""
        if self.status is EventStatus.CANCELLED:
            return None
        return EventCancelled(self.next_version(now, status=EventStatus.CANCELLED))

    def next_version(
        self,
        now: datetime,
        *,
        details: EventDetails | None = None,
        ticket_types: tuple[TicketType, ...] | None = None,
        status: EventStatus | None = None,
    ) -> "Event":
        """Return it one version later with what is given changed."""
        return replace(
            self,
            details=details or self.details,
            ticket_types=ticket_types or self.ticket_types,
            status=status or self.status,
            version=self.version + 1,
            updated_at=now,
            published_at=now if status is EventStatus.PUBLISHED else self.published_at,
        )


@dataclass(frozen=True)
class EventPublished:
    """The event went on sale."""

    event: Event


@dataclass(frozen=True)
class EventUpdated:
    """A draft was made, or a draft or published event changed."""

    event: Event


@dataclass(frozen=True)
class EventCancelled:
    """The event was called off."""

    event: Event


EventChange = EventPublished | EventUpdated | EventCancelled


def shrunk_capacities(before: Event, after: Event) -> Mapping[UUID, int]:
    """Return the new capacity of each ticket type on sale that gets smaller; 0 for a removed one.

    Empty unless the event is on sale before and after: a draft has sold nothing, and
    a cancelled event gives back all it sold.
    """
    if not (before.status is after.status is EventStatus.PUBLISHED):
        return {}
    left = {ticket_type.id: ticket_type.capacity for ticket_type in after.ticket_types}
    return {
        ticket_type.id: left.get(ticket_type.id, 0)
        for ticket_type in before.ticket_types
        if left.get(ticket_type.id, 0) < ticket_type.capacity
    }
