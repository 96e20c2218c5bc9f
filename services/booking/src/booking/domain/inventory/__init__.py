"""The inventory of an event: what can be sold, and what bookings take and release.

`kind` decides which kind of inventory an event has. `counted` is the only kind so far:
a number of equal tickets per ticket type. A kind with seats gets a module beside it.
"""

from booking.domain.inventory.kind import EventInventory, inventory_of
from booking.domain.inventory.ticket_type import (
    CapacityShortfall,
    InventoryChange,
    TicketTypeInventory,
)

__all__ = [
    "CapacityShortfall",
    "EventInventory",
    "InventoryChange",
    "TicketTypeInventory",
    "inventory_of",
]
