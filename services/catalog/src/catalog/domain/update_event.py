"""Changing an event: the patch is applied to the stored values, then the result is validated."""

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
from catalog.domain.validation import (
    FieldErrors,
    TicketTypeDraft,
    validate_details,
    validate_ticket_type,
    validate_ticket_types,
)


@dataclass(frozen=True)
class EventPatch:
    """New values of an event; None leaves a field unchanged.

    `price` and `capacity` change the only ticket type. They are ignored when `ticket_types`
    is given.
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
    event: Event, patch: EventPatch, now: datetime, new_id: Callable[[], UUID]
) -> EventChange | None:
    """Apply `patch` to `event`; None when nothing changes.

    Raises:
        EventIsCancelled: the event is cancelled and the patch would change it.
        InvalidEvent: names every field that is wrong.
    """
    errors = FieldErrors()
    details = _patched_details(errors, event, patch, now)
    ticket_types = _patched_ticket_types(errors, event, patch, new_id)
    status = patch.status or event.status
    same_content = (details, ticket_types) == (event.details, event.ticket_types)
    if not errors.found and same_content and status is event.status:
        return None
    if event.status is EventStatus.CANCELLED:
        raise EventIsCancelled
    _validate_status(errors, event, status, same_content=same_content)
    if errors.found:
        raise InvalidEvent(fields=errors.found)
    if status is EventStatus.CANCELLED:
        return event.cancel(now)
    if status is not event.status:
        # Checked against the new start, so that one patch can move a draft and publish it.
        return replace(event, details=details, ticket_types=ticket_types).publish(now)
    return EventUpdated(event.next_version(now, details=details, ticket_types=ticket_types))


def _patched_details(
    errors: FieldErrors, event: Event, patch: EventPatch, now: datetime
) -> EventDetails:
    new_values = {
        name: value
        for name in EventDetails.__dataclass_fields__
        if (value := getattr(patch, name)) is not None
    }
    patched = replace(event.details, **new_values)
    start_changed = patched.starts_at != event.details.starts_at
    details = validate_details(errors, patched, not_before=now if start_changed else None)
    if details.currency != event.details.currency and event.published_at is not None:
        errors.add("currency", "cannot change once the event has been published")
    return details


def _patched_ticket_types(
    errors: FieldErrors, event: Event, patch: EventPatch, new_id: Callable[[], UUID]
) -> tuple[TicketType, ...]:
    if patch.ticket_types is not None:
        existing_ids = {ticket_type.id for ticket_type in event.ticket_types}
        return validate_ticket_types(errors, patch.ticket_types, existing_ids, new_id)
    if patch.price is None and patch.capacity is None:
        return event.ticket_types
    if len(event.ticket_types) > 1:
        for field, value in (("price", patch.price), ("capacity", patch.capacity)):
            if value is not None:
                errors.add(field, "must be given per ticket type: this event has several")
        return event.ticket_types
    (only,) = event.ticket_types
    draft = TicketTypeDraft(
        name=only.name,
        price=only.price if patch.price is None else patch.price,
        capacity=only.capacity if patch.capacity is None else patch.capacity,
        max_per_booking=only.max_per_booking,
        max_per_buyer=only.max_per_buyer,
    )
    return (validate_ticket_type(errors, draft, only.id, prefix=""),)


def _validate_status(
    errors: FieldErrors, event: Event, status: EventStatus, *, same_content: bool
) -> None:
    if status is EventStatus.DRAFT and event.status is not EventStatus.DRAFT:
        errors.add("status", "cannot become draft again")
    if status is EventStatus.CANCELLED and not same_content:
        errors.add("status", "cannot become cancelled together with other changes")
