"""Turn a hold into tickets."""

from uuid import UUID

from booking.application.get_booking import find_booking
from booking.application.ports import BookingOfEvent, Bookings, Clock
from booking.application.stock_of import stock_of
from booking.domain.actor import Actor
from booking.domain.booking import IssueTicket


async def confirm_booking(
    booking_id: UUID, actor: Actor, *, bookings: Bookings, issue: IssueTicket, now: Clock
) -> BookingOfEvent:
    """Confirm a hold; confirming again changes nothing.

    Raises:
        BookingNotFound: there is none.
        Forbidden: it is somebody else's.
        HoldExpired: it ran out.
        BookingClosed: it was cancelled or refunded.
        EventCancelled: the event was called off meanwhile.
    """
    found = await find_booking(booking_id, bookings)
    actor.must_be_one_of(found.booking.user_id)
    async with bookings.transaction() as transaction:
        held = await transaction.lock_booking(found.event.id, booking_id)
        confirmed = held.confirm(now(), issue)
        if confirmed is None:
            return BookingOfEvent(held, found.event)
        stock = await stock_of(transaction, [held])
        stock.event.must_not_be_cancelled()
        stock.sell_held(held)
        await transaction.save([confirmed], stock)
    return BookingOfEvent(confirmed.booking, stock.event)
