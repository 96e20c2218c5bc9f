"""What an actor may do with bookings, tickets and lists of an event, by the kernel's table."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from goticket_kernel.actor import Actor
from goticket_kernel.errors import Forbidden
from goticket_kernel.permissions import (
    Permission,
    Relation,
    is_permitted,
    relations_of,
    require_permission,
)

from booking.domain.booking import Booking, BookingStatus, CancellationReason, Ticket
from booking.domain.errors import EventNotFound, EventStarted
from booking.domain.event import Event, EventStatus


def require_reader(actor: Actor, buyer_id: UUID, event: Event) -> None:
    """Check that `actor` may read a buyer's booking of `event`, or one of its tickets.

    Raises:
        Forbidden: the actor is not the buyer, the event's organizer or an admin.
    """
    require_permission(
        actor, Permission.READ_BOOKING, owner_id=buyer_id, organizer_id=event.organizer_id
    )


def require_hold_changer(actor: Actor, buyer_id: UUID) -> None:
    """Check that `actor` may confirm or extend a buyer's hold.

    Raises:
        Forbidden: the actor is not the buyer or an admin.
    """
    require_permission(actor, Permission.CHANGE_HOLD, owner_id=buyer_id)


def require_manager(actor: Actor, permission: Permission, event: Event) -> None:
    """Check that `actor` has a permission that only those have who manage `event`.

    Raises:
        EventNotFound: the actor may not know that the event exists, because it is a draft.
        Forbidden: the actor is not the event's organizer or an admin.
    """
    if is_permitted(actor, permission, organizer_id=event.organizer_id):
        return
    raise EventNotFound if event.status is EventStatus.DRAFT else Forbidden


def cancellation_reason(
    actor: Actor, booking: Booking, event: Event, now: datetime
) -> CancellationReason:
    """Check that `actor` may cancel `booking` and return the reason to record.

    A buyer cannot cancel a confirmed booking once the event has started. The organizer
    and admins may cancel at any time.

    Raises:
        Forbidden: the actor is not the buyer, the event's organizer or an admin.
        EventStarted: the actor is the buyer, and the event has started.
    """
    buyer_id, organizer_id = booking.user_id, event.organizer_id
    require_permission(
        actor, Permission.CANCEL_BOOKING, owner_id=buyer_id, organizer_id=organizer_id
    )
    relations = relations_of(actor, owner_id=buyer_id, organizer_id=organizer_id)
    if relations & {Relation.ORGANIZER, Relation.ADMIN}:
        own = Relation.OWNER in relations
        return CancellationReason.BY_BUYER if own else CancellationReason.BY_ORGANIZER
    if booking.status is BookingStatus.CONFIRMED and now >= event.starts_at:
        raise EventStarted
    return CancellationReason.BY_BUYER


def booking_for(actor: Actor, booking: Booking) -> Booking:
    """Return the booking as `actor` may see it: only its buyer gets the codes of its tickets."""
    if _may_have_codes(actor, booking.user_id):
        return booking
    return replace(booking, tickets=tuple(map(_without_code, booking.tickets)))


def ticket_for(actor: Actor, ticket: Ticket, buyer_id: UUID) -> Ticket:
    """Return a buyer's ticket as `actor` may see it: only the buyer gets its code."""
    return ticket if _may_have_codes(actor, buyer_id) else _without_code(ticket)


def _may_have_codes(actor: Actor, buyer_id: UUID) -> bool:
    return is_permitted(actor, Permission.READ_TICKET_CODE, owner_id=buyer_id)


def _without_code(ticket: Ticket) -> Ticket:
    return replace(ticket, code="")
