"""Confirms a hold."""

from uuid import UUID

from goticket_kernel.actor import Actor

from booking.application.commands.lock_inventory import lock_inventory
from booking.application.ports import BookingOfEvent, BookingStore, Clock
from booking.application.queries.find_booking import find_booking
from booking.domain.booking import IssueTicket
from booking.domain.rights import booking_for, require_hold_changer


async def confirm_booking(
    booking_id: UUID, actor: Actor, *, bookings: BookingStore, issue: IssueTicket, now: Clock
) -> BookingOfEvent:
    """Confirm a hold and issue its tickets; confirming again changes nothing.

    Raises:
        BookingNotFound: there is no such booking.
        Forbidden: the actor is not the buyer or an admin.
        HoldExpired: the hold has expired.
        BookingClosed: the booking was cancelled or refunded.
        EventCancelled, EventOver: the event was cancelled or has ended meanwhile.
    """
    found = await find_booking(booking_id, bookings)
    require_hold_changer(actor, found.booking.user_id)
    async with bookings.transaction() as transaction:
        held = await transaction.bookings.lock(found.event.id, booking_id)
        moment = now()
        if not held.require_confirmable(moment):
            return BookingOfEvent(booking_for(actor, held), found.event)
        inventory = await lock_inventory(transaction, [held])
        inventory.event.require_not_ended(moment)
        confirmed = held.confirm(moment, issue)
        inventory.confirm_hold(held)
        await transaction.bookings.save([confirmed], inventory)
    return BookingOfEvent(booking_for(actor, confirmed.booking), inventory.event)
