"""Changing an event: what is asked for is laid over what is there, then all of it is checked."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from catalog.domain.errors import EventIsCancelled, InvalidEvent
from catalog.domain.event import (
    Event,
    EventChange,
    EventDetails,
    EventStatus,
    EventUpdated,
    TicketType,
)
from catalog.domain.field_rules import (
    Problems,
    TicketTypeDraft,
    checked_details,
    checked_ticket_type,
    checked_ticket_types,
)


@dataclass(frozen=True)
class EventEdit:
    """New values; None leaves a field as it is.

    `price` and `capacity` change the only ticket type, and count only where
    `ticket_types` is absent.
    """

    name: str | None = None
    description: str | None = None
    location: str | None = None
    currency: str | None = None
    timezone: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    status: EventStatus | None = None
    ticket_types: tuple[TicketTypeDraft, ...] | None = None
    price: int | None = None
    capacity: int | None = None
    max_per_buyer: int | None = None


def update(
    event: Event, edit: EventEdit, now: datetime, new_id: Callable[[], UUID]
) -> EventChange | None:
    """Return what `edit` makes of `event`; None when that is nothing new.

    Raises:
        EventIsCancelled: the event is cancelled and the edit would change it.
        InvalidEvent: naming every field that is wrong.
    """
    problems = Problems()
    details = _edited_details(problems, event, edit, now)
    ticket_types = _edited_ticket_types(problems, event, edit, new_id)
    status = edit.status or event.status
    same_content = (details, ticket_types) == (event.details, event.ticket_types)
    if not problems.found and same_content and status is event.status:
        return None
    if event.status is EventStatus.CANCELLED:
        raise EventIsCancelled
    _check_status(problems, event, status, same_content=same_content)
    if problems.found:
        raise InvalidEvent(problems.found)
    if status is EventStatus.CANCELLED:
        return event.cancel(now)
    if status is not event.status:
        # Checked against the edited start, so that one edit can move a draft and publish it.
        moved = replace(event, details=details, ticket_types=ticket_types)
        return moved.publish(now)
    return EventUpdated(event.next_version(now, details=details, ticket_types=ticket_types))


def _edited_details(
    problems: Problems, event: Event, edit: EventEdit, now: datetime
) -> EventDetails:
    new_values = {
        name: value
        for name in EventDetails.__dataclass_fields__
        if (value := getattr(edit, name)) is not None
    }
    wanted = replace(event.details, **new_values)
    moved = wanted.starts_at != event.details.starts_at
    details = checked_details(problems, wanted, not_before=now if moved else None)
    if details.currency != event.details.currency and event.published_at is not None:
        problems.add("currency", "cannot change once the event has been published")
    return details


def _edited_ticket_types(
    problems: Problems, event: Event, edit: EventEdit, new_id: Callable[[], UUID]
) -> tuple[TicketType, ...]:
    if edit.ticket_types is not None:
        existing = {str(ticket_type.id): ticket_type.id for ticket_type in event.ticket_types}
        return checked_ticket_types(problems, edit.ticket_types, existing, new_id)
    if edit.price is None and edit.capacity is None:
        return event.ticket_types
    if len(event.ticket_types) > 1:
        for field, value in (("price", edit.price), ("capacity", edit.capacity)):
            if value is not None:
                problems.add(field, "belongs to ticketTypes: this event has several")
        return event.ticket_types
    (only,) = event.ticket_types
    draft = TicketTypeDraft(
        name=only.name,
        price=only.price if edit.price is None else edit.price,
        capacity=only.capacity if edit.capacity is None else edit.capacity,
        max_per_booking=only.max_per_booking,
        max_per_buyer=only.max_per_buyer,
    )
    return (checked_ticket_type(problems, draft, only.id, prefix=""),)


def _check_status(
    problems: Problems, event: Event, status: EventStatus, *, same_content: bool
) -> None:
    if status is EventStatus.DRAFT and event.status is not EventStatus.DRAFT:
        problems.add("status", "cannot become draft again")
    if status is EventStatus.CANCELLED and not same_content:
        problems.add("status", "cannot become cancelled together with other changes")
