"""End holds that have run out."""

from uuid import UUID

from booking.application.ports import Bookings, Clock
from booking.application.stock_of import stock_of

BATCH = 200
"""Most holds per transaction: the stock is locked for milliseconds, not seconds."""


async def expire_holds(
    event_id: UUID, *, bookings: Bookings, now: Clock, limit: int = BATCH
) -> int:
    """Expire up to `limit` due holds of an event and return their stock; return how many.

    Any number of sweepers may do so at once: each claims holds that no other has.
    """
    async with bookings.transaction() as transaction:
        moment = now()
        due = await transaction.claim_due_holds(event_id, moment, limit)
        if not due:
            return 0
        stock = await stock_of(transaction, due)
        expired = []
        for hold in due:
            if event := hold.expire(moment):
                stock.give_back(hold)
                expired.append(event)
        await transaction.save(expired, stock)
    return len(expired)
