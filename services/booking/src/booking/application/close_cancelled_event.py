"""Cancel the bookings of an event that was called off."""

from uuid import UUID

from booking.application.ports import Bookings, Clock
from booking.application.stock_of import stock_of
from booking.domain.booking import CancellationReason

BATCH = 500
FROM_THE_START = UUID(int=0)


async def close_cancelled_event(
    event_id: UUID,
    after: UUID = FROM_THE_START,
    *,
    bookings: Bookings,
    now: Clock,
    limit: int = BATCH,
) -> UUID | None:
    """Cancel up to `limit` open bookings with ids beyond `after`, in one transaction.

    Return where to go on, or None at the end. The event stays marked until a pass
    finds nothing open, so a crash, or a booking that somebody had locked, only
    means another pass. No booking can join: placing reads the event's status under
    the locks that cancelling it takes, too.
    """
    async with bookings.transaction() as transaction:
        open_bookings = await transaction.claim_open_bookings(event_id, after, limit)
        if not open_bookings:
            await transaction.finish_closing(event_id)
            return None
        stock = await stock_of(transaction, open_bookings)
        moment = now()
        cancelled = []
        for booking in open_bookings:
            if event := booking.cancel(moment, CancellationReason.EVENT_CANCELLED):
                stock.give_back(booking)
                cancelled.append(event)
        await transaction.save(cancelled, stock)
    return open_bookings[-1].id
