"""Extends a hold, to give its buyer more time to pay."""

from datetime import timedelta
from uuid import UUID

from goticket_kernel.actor import Actor

from booking.application.commands.lock_inventory import lock_inventory
from booking.application.ports import BookingOfEvent, BookingStore, Clock
from booking.application.queries.find_booking import find_booking
from booking.domain.rights import require_hold_changer


async def extend_hold(
    booking_id: UUID, actor: Actor, *, bookings: BookingStore, now: Clock, by: timedelta
) -> BookingOfEvent:
    """Extend a hold, once.

    Raises:
        BookingNotFound: there is no such booking.
        Forbidden: the actor is not the buyer or an admin.
        HoldExpired: the hold has expired.
        HoldAlreadyExtended: the hold was extended before.
        BookingClosed: the booking is no longer a hold.
        EventCancelled, EventOver: the event was cancelled or has ended meanwhile.
    """
    found = await find_booking(booking_id, bookings)
    require_hold_changer(actor, found.booking.user_id)
    async with bookings.transaction() as transaction:
        held = await transaction.bookings.lock(found.event.id, booking_id)
        moment = now()
        extended = held.extend(moment, by)
        inventory = await lock_inventory(transaction, [held])
        inventory.event.require_not_ended(moment)
        await transaction.bookings.save([extended], inventory)
    return BookingOfEvent(extended.booking, inventory.event)
