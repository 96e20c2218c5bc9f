"""Cancels a booking."""

from uuid import UUID

from goticket_kernel.actor import Actor

from booking.application.commands.lock_inventory import lock_inventory
from booking.application.ports import BookingOfEvent, BookingStore, Clock
from booking.application.queries.find_booking import find_booking
from booking.domain.rights import cancellation_reason


async def cancel_booking(
    booking_id: UUID, actor: Actor, *, bookings: BookingStore, now: Clock
) -> BookingOfEvent:
    """Void the tickets and release the inventory; cancelling again changes nothing.

    Raises:
        BookingNotFound: there is no such booking.
        Forbidden: the actor is not the buyer, the event's organizer or an admin.
        EventStarted: the buyer cancels a confirmed booking after the event's start.
        BookingClosed: the booking expired or was refunded.
    """
    found = await find_booking(booking_id, bookings)
    async with bookings.transaction() as transaction:
        before = await transaction.bookings.lock(found.event.id, booking_id)
        moment = now()
        reason = cancellation_reason(actor, before, found.event, moment)
        cancelled = before.cancel(moment, reason)
        if cancelled is None:
            return BookingOfEvent(before, found.event)
        inventory = await lock_inventory(transaction, [before])
        inventory.release(before)
        await transaction.bookings.save([cancelled], inventory)
    return BookingOfEvent(cancelled.booking, inventory.event)
