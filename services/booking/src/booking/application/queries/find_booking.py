"""Reads the booking that a command changes."""

from uuid import UUID

from booking.application.ports import BookingOfEvent, BookingStore
from booking.domain.errors import BookingNotFound


async def find_booking(booking_id: UUID, bookings: BookingStore) -> BookingOfEvent:
    """Read a booking without a check of the caller's rights.

    Raises:
        BookingNotFound: there is no such booking.
    """
    found = await bookings.find_booking(booking_id)
    if found is None:
        raise BookingNotFound
    return found
