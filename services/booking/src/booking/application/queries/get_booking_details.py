"""Reads bookings with buyer, tickets and codes, for the e-mails of the notification service."""

from collections.abc import Sequence

from booking.application.ports import BookingDetailsQueries, BookingKey, BookingOfEvent


async def get_booking_details(
    wanted: Sequence[BookingKey], *, queries: BookingDetailsQueries
) -> list[BookingOfEvent]:
    """Read those of the bookings that exist. Void tickets have no code.

    The caller has to be authorised before: the result contains personal data.
    """
    return await queries.find_details(wanted)
