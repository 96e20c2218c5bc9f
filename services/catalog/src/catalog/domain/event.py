"""An event, its ticket types and its changes of state."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from goticket_kernel.actor import Actor
from goticket_kernel.errors import FieldError, Forbidden
from goticket_kernel.permissions import Permission, is_permitted

from catalog.domain.errors import EventIsCancelled, EventNotFound, InvalidEvent, StaleVersion


class EventStatus(StrEnum):
    """Status of an event: draft -> published -> cancelled, draft -> cancelled."""

    DRAFT = "draft"
    PUBLISHED = "published"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class TicketType:
    """A priced, counted kind of admission; `price` in minor units of the event's currency.

    `max_per_buyer` counts over all bookings of one buyer; 0 means no limit.
    """

    id: UUID
    name: str
    price: int
    capacity: int
    max_per_booking: int
    max_per_buyer: int = 0


@dataclass(frozen=True)
class EventDetails:
    """The fields of an event that its organizer sets, without the ticket types.

    `max_per_buyer` counts tickets of every type over all bookings of one buyer; 0 means no limit.
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
    """An event with its ticket types. `version` grows by one with every change.

    `published_at` is None until the event is published for the first time.
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

    def visible_to(self, actor: Actor) -> bool:
        """Whether `actor` may see the event.

        An event that was never published is private: a draft, and a draft that was cancelled.
        """
        return self.published_at is not None or self._permits(actor, Permission.READ_DRAFT)

    def require_changeable_by(self, actor: Actor, expected_version: int | None) -> None:
        """Check that `actor` may change the event and that its version is the expected one.

        None as `expected_version` skips the check of the version.

        Raises:
            EventNotFound: the event belongs to another organizer and was never published.
            Forbidden: the actor is neither the event's organizer nor an admin.
            StaleVersion: the event has another version than `expected_version`.
        """
        if not self.visible_to(actor):
            raise EventNotFound
        if not self._permits(actor, Permission.CHANGE_EVENT):
            raise Forbidden("Only the event's organizer or an admin may do this.")
        if expected_version is not None and expected_version != self.version:
            raise StaleVersion

    def publish(self, now: datetime) -> "EventPublished | None":
        """Publish a draft; None when the event is already published.

        Raises:
            EventIsCancelled: the event is cancelled.
            InvalidEvent: the event has already started.
        """
        if self.status is EventStatus.PUBLISHED:
            return None
        if self.status is EventStatus.CANCELLED:
            raise EventIsCancelled
        if self.details.starts_at < now:
            message = "is in the past; change it before publishing"
            raise InvalidEvent(fields=[FieldError("starts_at", message)])
        return EventPublished(self.next_version(now, status=EventStatus.PUBLISHED))

    def cancel(self, now: datetime) -> "EventCancelled | None":
        """Cancel the event permanently; None when it is already cancelled."""
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
        """Return the event's next version with the given values changed."""
        return replace(
            self,
            details=details or self.details,
            ticket_types=ticket_types or self.ticket_types,
            status=status or self.status,
            version=self.version + 1,
            updated_at=now,
            published_at=now if status is EventStatus.PUBLISHED else self.published_at,
        )

    def _permits(self, actor: Actor, permission: Permission) -> bool:
        return is_permitted(actor, permission, organizer_id=self.organizer_id)


@dataclass(frozen=True)
class EventPublished:
    """The event was published."""

    event: Event


@dataclass(frozen=True)
class EventUpdated:
    """A draft was created, or a draft or published event was changed."""

    event: Event


@dataclass(frozen=True)
class EventCancelled:
    """The event was cancelled."""

    event: Event


EventChange = EventPublished | EventUpdated | EventCancelled


def shrunk_capacities(before: Event, after: Event) -> Mapping[UUID, int]:
    """Return the new capacity of each ticket type whose capacity shrinks; 0 for a removed one.

    Empty unless the event is published before and after the change. A draft has no
    bookings, and all bookings of a cancelled event are cancelled.
    """
    if not (before.status is after.status is EventStatus.PUBLISHED):
        return {}
    new_capacities = {ticket_type.id: ticket_type.capacity for ticket_type in after.ticket_types}
    return {
        ticket_type.id: new_capacities.get(ticket_type.id, 0)
        for ticket_type in before.ticket_types
        if new_capacities.get(ticket_type.id, 0) < ticket_type.capacity
    }
