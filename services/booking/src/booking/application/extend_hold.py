"""Give a buyer who pays more time."""

from datetime import timedelta
from uuid import UUID

from booking.application.get_booking import find_booking
from booking.application.ports import BookingOfEvent, Bookings, Clock
from booking.application.stock_of import stock_of
from booking.domain.actor import Actor


async def extend_hold(
    booking_id: UUID, actor: Actor, *, bookings: Bookings, now: Clock, by: timedelta
) -> BookingOfEvent:
    """Lengthen a hold, once.

    Raises:
        BookingNotFound: there is none.
        Forbidden: it is somebody else's.
        HoldExpired: it ran out.
        HoldAlreadyExtended: it was lengthened before.
        BookingClosed: it is no hold any more.
        EventCancelled: the event was called off meanwhile.
    """
    found = await find_booking(booking_id, bookings)
    actor.must_be_one_of(found.booking.user_id)
    async with bookings.transaction() as transaction:
        held = await transaction.lock_booking(found.event.id, booking_id)
        extended = held.extend(now(), by)
        stock = await stock_of(transaction, [held])
        stock.event.must_not_be_cancelled()
        await transaction.save([extended], stock)
    return BookingOfEvent(extended.booking, stock.event)
