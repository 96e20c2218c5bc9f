"""Creating an event."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from goticket_kernel.actor import Actor
from goticket_kernel.errors import Forbidden
from goticket_kernel.permissions import Permission, is_permitted

from catalog.domain.errors import InvalidEvent
from catalog.domain.event import (
    Event,
    EventDetails,
    EventPublished,
    EventStatus,
    EventUpdated,
    TicketType,
)
from catalog.domain.validation import (
    LATEST_TIME,
    FieldErrors,
    TicketTypeDraft,
    validate_details,
    validate_ticket_type,
    validate_ticket_types,
)

DEFAULT_TICKET_TYPE_NAME = "General Admission"
"""Name of the only ticket type when the command has just a price and a capacity."""


@dataclass(frozen=True)
class CreateEventCommand:
    """The organizer's request for a new event.

    `price` and `capacity` describe a single ticket type. They are used when `ticket_types` is
    empty.
    """

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
    command: CreateEventCommand, actor: Actor, now: datetime, new_id: Callable[[], UUID]
) -> EventPublished | EventUpdated:
    """Create version 1 of an event that belongs to `actor`.

    Raises:
        Forbidden: the actor is neither organizer nor admin.
        InvalidEvent: names every field that is wrong.
    """
    if not is_permitted(actor, Permission.CREATE_EVENT):
        raise Forbidden("Only organizers and admins may create events.")
    with FieldErrors.raised_as(InvalidEvent) as errors:
        details = validate_details(errors, _details(errors, command, now), not_before=now)
        ticket_types = _ticket_types(errors, command, new_id)
        if command.status is EventStatus.CANCELLED:
            errors.add("status", "must be draft or published")
    is_published = command.status is EventStatus.PUBLISHED
    event = Event(
        id=new_id(),
        organizer_id=actor.user_id,
        details=details,
        ticket_types=ticket_types,
        status=command.status,
        version=1,
        created_at=now,
        updated_at=now,
        published_at=now if is_published else None,
    )
    return EventPublished(event) if is_published else EventUpdated(event)


def _details(errors: FieldErrors, command: CreateEventCommand, now: datetime) -> EventDetails:
    errors.require(command.starts_at is not None, "starts_at", "is required")
    errors.require(command.ends_at is not None, "ends_at", "is required")
    # A missing time is reported above. The value in its place must break no other rule.
    return EventDetails(
        name=command.name,
        description=command.description,
        location=command.location,
        currency=command.currency,
        timezone=command.timezone,
        starts_at=command.starts_at or now,
        ends_at=command.ends_at or LATEST_TIME,
        max_per_buyer=command.max_per_buyer,
    )


def _ticket_types(
    errors: FieldErrors, command: CreateEventCommand, new_id: Callable[[], UUID]
) -> tuple[TicketType, ...]:
    if command.ticket_types:
        return validate_ticket_types(errors, command.ticket_types, (), new_id)
    errors.require(command.price is not None, "price", "is required")
    errors.require(command.capacity is not None, "capacity", "is required")
    draft = TicketTypeDraft(
        DEFAULT_TICKET_TYPE_NAME,
        price=0 if command.price is None else command.price,
        capacity=1 if command.capacity is None else command.capacity,
    )
    return (validate_ticket_type(errors, draft, new_id(), prefix=""),)
