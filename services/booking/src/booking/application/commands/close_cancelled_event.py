"""Cancels the bookings of a cancelled event."""

from collections.abc import Sequence
from uuid import UUID

from booking.application.commands.lock_inventory import lock_inventory
from booking.application.ports import BookingStore, Clock
from booking.domain.booking import CancellationReason


async def close_bookings(
    event_id: UUID, booking_ids: Sequence[UUID], *, bookings: BookingStore, now: Clock
) -> None:
    """Cancel those of a cancelled event's bookings that are open, in one transaction.

    Bookings that another transaction has locked are left for the next pass.
    """
    async with bookings.transaction() as transaction:
        open_bookings = await transaction.bookings.claim_open(event_id, booking_ids)
        if not open_bookings:
            return
        inventory = await lock_inventory(transaction, open_bookings)
        moment = now()
        cancelled = []
        for booking in open_bookings:
            if change := booking.cancel(moment, CancellationReason.EVENT_CANCELLED):
                inventory.release(booking)
                cancelled.append(change)
        await transaction.bookings.save(cancelled, inventory)


async def finish_closing(event_id: UUID, *, bookings: BookingStore) -> None:
    """Mark a cancelled event as closed, unless it has an open booking.

    So a crash, or a booking that another transaction has locked, only causes another pass. No
    booking can be added meanwhile: creation reads the event's status under locks that the
    cancellation of the event takes, too.
    """
    async with bookings.transaction() as transaction:
        await transaction.events.finish_closing(event_id)
