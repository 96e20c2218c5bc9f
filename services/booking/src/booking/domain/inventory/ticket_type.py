"""The counts of one ticket type."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(slots=True)
class TicketTypeInventory:
    """Capacity, held and sold of one ticket type; `price` in minor units.

    `version` grows with every change of the counts or of the capacity.
    """

    id: UUID
    position: int
    name: str
    price: int
    capacity: int
    max_per_booking: int
    held: int = 0
    sold: int = 0
    version: int = 0
    active: bool = True
    max_per_buyer: int = 0

    @property
    def taken(self) -> int:
        """Number of tickets that are held or sold."""
        return self.held + self.sold

    @property
    def available(self) -> int:
        """Number of tickets that can still be sold, never below 0."""
        return max(0, self.capacity - self.taken) if self.active else 0


@dataclass(slots=True)
class InventoryChange:
    """The difference of a ticket type's counts since they were locked."""

    held: int = 0
    sold: int = 0


@dataclass(frozen=True, slots=True)
class CapacityShortfall:
    """A requested capacity below what is already taken, and the capacity that is kept."""

    ticket_type_id: UUID
    requested: int
    kept: int
