"""Confirms a hold."""

from uuid import UUID

from goticket_kernel.actor import Actor

from booking.application.commands.lock_inventory import lock_inventory
from booking.application.ports import BookingOfEvent, BookingStore, Clock
from booking.application.queries.find_booking import find_booking
from booking.domain.booking import IssueTicket


async def confirm_booking(
    booking_id: UUID, actor: Actor, *, bookings: BookingStore, issue: IssueTicket, now: Clock
) -> BookingOfEvent:
    """Confirm a hold and issue its tickets; confirming again changes nothing.

    Raises:
        BookingNotFound: there is no such booking.
        Forbidden: the actor is not the buyer or an admin.
        HoldExpired: the hold has expired.
        BookingClosed: the booking was cancelled or refunded.
        EventCancelled: the event was cancelled meanwhile.
    """
    found = await find_booking(booking_id, bookings)
    actor.require_admin_or(found.booking.user_id)
    async with bookings.transaction() as transaction:
        held = await transaction.bookings.lock(found.event.id, booking_id)
        moment = now()
        if not held.require_confirmable(moment):
            return BookingOfEvent(held, found.event)
        inventory = await lock_inventory(transaction, [held])
        inventory.event.require_not_cancelled()
        confirmed = held.confirm(moment, issue)
        inventory.confirm_hold(held)
        await transaction.bookings.save([confirmed], inventory)
    return BookingOfEvent(confirmed.booking, inventory.event)
