"""Cancels the bookings of a cancelled event."""

from uuid import UUID

from booking.application.commands.lock_inventory import lock_inventory
from booking.application.ports import BookingStore, Clock
from booking.domain.booking import CancellationReason

BATCH_SIZE = 500
FIRST_ID = UUID(int=0)


async def close_cancelled_event(
    event_id: UUID,
    after: UUID = FIRST_ID,
    *,
    bookings: BookingStore,
    now: Clock,
    limit: int = BATCH_SIZE,
) -> UUID | None:
    """Cancel up to `limit` open bookings with ids beyond `after`, in one transaction.

    Return the id to continue after, or None at the end. The event stays marked until a
    pass finds no open booking. So a crash, or a booking that another transaction has
    locked, only causes another pass. No booking can be added meanwhile: creation reads
    the event's status under locks that the cancellation of the event takes, too.
    """
    async with bookings.transaction() as transaction:
        open_bookings = await transaction.bookings.claim_open(event_id, after, limit)
        if not open_bookings:
            await transaction.events.finish_closing(event_id)
            return None
        inventory = await lock_inventory(transaction, open_bookings)
        moment = now()
        cancelled = []
        for booking in open_bookings:
            if change := booking.cancel(moment, CancellationReason.EVENT_CANCELLED):
                inventory.release(booking)
                cancelled.append(change)
        await transaction.bookings.save(cancelled, inventory)
    return open_bookings[-1].id
