"""Reads who has confirmed bookings for an event, for e-mails about changes of the event."""

from collections.abc import Sequence
from uuid import UUID

from goticket_kernel.errors import FieldError

from booking.application.ports import (
    BookingOfEvent,
    ConfirmedBookings,
    EventBuyer,
    EventBuyerQueries,
)
from booking.domain.errors import InvalidBooking

MAX_PAGE = 1_000


async def list_confirmed_bookings(
    event_id: UUID, after: UUID, limit: int, *, queries: EventBuyerQueries
) -> ConfirmedBookings:
    """Read the next confirmed bookings of an event.

    The caller has to be authorised before.

    Raises:
        InvalidBooking: the limit is not from 1 to MAX_PAGE.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidBooking(fields=[FieldError("limit", f"Must be from 1 to {MAX_PAGE}.")])
    return await queries.list_confirmed(event_id, after, limit)


async def get_buyer_bookings(
    buyers: Sequence[EventBuyer], *, queries: EventBuyerQueries
) -> list[BookingOfEvent]:
    """Read all confirmed bookings of buyers for events. Void tickets have no code.

    The caller has to be authorised before: the result contains personal data.
    """
    return await queries.find_of_buyers(buyers)
