"""Expires holds past their end."""

from collections.abc import Sequence
from uuid import UUID

from booking.application.commands.lock_inventory import lock_inventory
from booking.application.ports import BookingStore, Clock

BATCH_SIZE = 200
"""Most holds per transaction, so that the inventory is locked for milliseconds only."""


async def expire_holds(
    event_id: UUID, hold_ids: Sequence[UUID], *, bookings: BookingStore, now: Clock
) -> int:
    """Expire those of an event's holds that are due and release their inventory; return how many.

    Any number of sweepers may run concurrently: each claims holds that no other has locked.
    """
    async with bookings.transaction() as transaction:
        moment = now()
        due = await transaction.bookings.claim_due_holds(event_id, hold_ids, moment)
        if not due:
            return 0
        inventory = await lock_inventory(transaction, due)
        expired = []
        for hold in due:
            if change := hold.expire(moment):
                inventory.release(hold)
                expired.append(change)
        await transaction.bookings.save(expired, inventory)
    return len(expired)
