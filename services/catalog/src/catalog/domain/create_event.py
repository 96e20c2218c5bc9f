"""Making an event out of what an organizer asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from catalog.domain.actor import Actor
from catalog.domain.errors import InvalidEvent, NotAllowed
from catalog.domain.event import (
    Event,
    EventDetails,
    EventPublished,
    EventStatus,
    EventUpdated,
    TicketType,
)
from catalog.domain.field_rules import (
    END_OF_TIME,
    Problems,
    TicketTypeDraft,
    checked_details,
    checked_ticket_type,
    checked_ticket_types,
)

GENERAL_ADMISSION = "General Admission"
"""Name of the ticket type that a price and a capacity alone make."""


@dataclass(frozen=True)
class NewEvent:
    """An event as the organizer asks for it; `price` and `capacity` stand for a single type."""

    name: str
    starts_at: datetime | None
    ends_at: datetime | None
    description: str = ""
    location: str = ""
    currency: str = "EUR"
    timezone: str = "UTC"
    status: EventStatus = EventStatus.PUBLISHED
    ticket_types: tuple[TicketTypeDraft, ...] = ()
    price: int | None = None
    capacity: int | None = None
    max_per_buyer: int = 0


def create(
    new: NewEvent, actor: Actor | None, now: datetime, new_id: Callable[[], UUID]
) -> EventPublished | EventUpdated:
    """Make version 1 of an event that belongs to `actor`.

    Raises:
        NotAllowed: the actor is neither organizer nor admin.
        InvalidEvent: naming every field that is wrong.
    """
    if actor is None or not (actor.is_organizer or actor.is_admin):
        raise NotAllowed("Only organizers and admins may create events.")
    with Problems.raised_as(InvalidEvent) as problems:
        details = checked_details(problems, _details(problems, new, now), not_before=now)
        ticket_types = _ticket_types(problems, new, new_id)
        if new.status is EventStatus.CANCELLED:
            problems.add("status", "must be draft or published")
    event = Event(
        id=new_id(),
        organizer_id=actor.user_id,
        details=details,
        ticket_types=ticket_types,
        status=new.status,
        version=1,
        created_at=now,
        updated_at=now,
        published_at=now if new.status is EventStatus.PUBLISHED else None,
    )
    return EventPublished(event) if new.status is EventStatus.PUBLISHED else EventUpdated(event)


def _details(problems: Problems, new: NewEvent, now: datetime) -> EventDetails:
    problems.check("startAt", new.starts_at is not None, "is required")
    problems.check("endAt", new.ends_at is not None, "is required")
    # A missing time is reported above; what stands in for it breaks no other rule.
    return EventDetails(
        name=new.name,
        description=new.description,
        location=new.location,
        currency=new.currency,
        timezone=new.timezone,
        starts_at=new.starts_at or now,
        ends_at=new.ends_at or END_OF_TIME,
        max_per_buyer=new.max_per_buyer,
    )


def _ticket_types(
    problems: Problems, new: NewEvent, new_id: Callable[[], UUID]
) -> tuple[TicketType, ...]:
    if new.ticket_types:
        return checked_ticket_types(problems, new.ticket_types, {}, new_id)
    problems.check("price", new.price is not None, "is required")
    problems.check("capacity", new.capacity is not None, "is required")
    draft = TicketTypeDraft(
        GENERAL_ADMISSION,
        price=0 if new.price is None else new.price,
        capacity=1 if new.capacity is None else new.capacity,
    )
    return (checked_ticket_type(problems, draft, new_id(), prefix=""),)
