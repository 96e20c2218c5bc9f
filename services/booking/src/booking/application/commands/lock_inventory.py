"""Locks the inventory of the event that open bookings belong to."""

from collections.abc import Sequence

from booking.application.ports import Transaction
from booking.domain.booking import Booking
from booking.domain.inventory import EventInventory


async def lock_inventory(transaction: Transaction, bookings: Sequence[Booking]) -> EventInventory:
    """Lock and read the inventory of the event of these bookings.

    Raises:
        LookupError: the event does not exist, although it has bookings.
    """
    event_id = bookings[0].event_id
    inventory = await transaction.inventory.lock(event_id)
    if inventory is None:
        raise LookupError(f"event {event_id} has bookings but no inventory")
    return inventory
