"""Reads one booking."""

from uuid import UUID

from goticket_kernel.actor import Actor

from booking.application.ports import BookingOfEvent, BookingStore
from booking.domain.errors import BookingNotFound


async def get_booking(booking_id: UUID, actor: Actor, *, bookings: BookingStore) -> BookingOfEvent:
    """Read a booking for its buyer, the event's organizer or an admin.

    Raises:
        BookingNotFound: there is no such booking.
        Forbidden: the actor is none of these.
    """
    found = await find_booking(booking_id, bookings)
    actor.require_admin_or(found.booking.user_id, found.event.organizer_id)
    return found


async def find_booking(booking_id: UUID, bookings: BookingStore) -> BookingOfEvent:
    """Read a booking without a check of the caller's rights.

    Raises:
        BookingNotFound: there is no such booking.
    """
    found = await bookings.find_booking(booking_id)
    if found is None:
        raise BookingNotFound
    return found
