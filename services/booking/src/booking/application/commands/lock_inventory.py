"""Locks the inventory that open bookings have taken."""

from collections.abc import Sequence

from booking.application.ports import Transaction
from booking.domain.booking import Booking
from booking.domain.inventory import EventInventory, ticket_types_of


async def lock_inventory(transaction: Transaction, bookings: Sequence[Booking]) -> EventInventory:
    """Lock the ticket types of bookings of one event, and read the event's inventory.

    Raises:
        LookupError: the event does not exist, although it has bookings.
    """
    event_id = bookings[0].event_id
    inventory = await transaction.inventory.lock(event_id, ticket_types_of(bookings))
    if inventory is None:
        raise LookupError(f"event {event_id} has bookings but no inventory")
    return inventory
