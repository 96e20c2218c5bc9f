"""Give a booking up."""

from uuid import UUID

from booking.application.get_booking import find_booking
from booking.application.ports import BookingOfEvent, Bookings, Clock
from booking.application.stock_of import stock_of
from booking.domain.actor import Actor
from booking.domain.booking import cancellation_by


async def cancel_booking(
    booking_id: UUID, actor: Actor, *, bookings: Bookings, now: Clock
) -> BookingOfEvent:
    """Void the tickets and return the stock; cancelling again changes nothing.

    Raises:
        BookingNotFound: there is none.
        Forbidden: it is neither the actor's nor an event of theirs.
        EventStarted: a buyer comes after the start with a confirmed booking.
        BookingClosed: it expired or was refunded.
    """
    found = await find_booking(booking_id, bookings)
    async with bookings.transaction() as transaction:
        before = await transaction.lock_booking(found.event.id, booking_id)
        moment = now()
        reason = cancellation_by(actor, before, found.event, moment)
        cancelled = before.cancel(moment, reason)
        if cancelled is None:
            return BookingOfEvent(before, found.event)
        stock = await stock_of(transaction, [before])
        stock.give_back(before)
        await transaction.save([cancelled], stock)
    return BookingOfEvent(cancelled.booking, stock.event)
