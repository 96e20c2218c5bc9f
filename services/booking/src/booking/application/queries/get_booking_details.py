"""Reads bookings with buyer, tickets and codes, for the e-mails of the notification service."""

from collections.abc import Sequence
from dataclasses import replace

from booking.application.ports import BookingDetailsQueries, BookingKey, BookingOfEvent
from booking.domain.booking import Booking, TicketStatus


async def get_booking_details(
    wanted: Sequence[BookingKey], *, queries: BookingDetailsQueries
) -> list[BookingOfEvent]:
    """Read those of the bookings that exist. Void tickets have no code.

    The caller has to be authorised before: the result contains personal data.
    """
    found = await queries.find_details(wanted)
    return [BookingOfEvent(_without_void_codes(each.booking), each.event) for each in found]


def _without_void_codes(booking: Booking) -> Booking:
    tickets = tuple(
        replace(ticket, code="") if ticket.status is TicketStatus.VOID else ticket
        for ticket in booking.tickets
    )
    return replace(booking, tickets=tickets)
