"""Read one booking."""

from uuid import UUID

from booking.application.ports import BookingOfEvent, Bookings
from booking.domain.actor import Actor
from booking.domain.errors import BookingNotFound


async def get_booking(booking_id: UUID, actor: Actor, *, bookings: Bookings) -> BookingOfEvent:
    """Read a booking for its owner, the event's organizer or an admin.

    Raises:
        BookingNotFound: there is none.
        Forbidden: the actor is none of these.
    """
    found = await find_booking(booking_id, bookings)
    actor.must_be_one_of(found.booking.user_id, found.event.organizer_id)
    return found


async def find_booking(booking_id: UUID, bookings: Bookings) -> BookingOfEvent:
    """Read a booking, whoever asks.

    Raises:
        BookingNotFound: there is none.
    """
    found = await bookings.find_booking(booking_id)
    if found is None:
        raise BookingNotFound
    return found
