"""Inventory: rows locked in a transaction, reads without locks, and published availability."""

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from booking.domain.inventory import EventInventory, TicketTypeInventory


class InventoryRows(Protocol):
    """Inventory in a transaction."""

    async def lock(self, event_id: UUID) -> EventInventory | None:
        """Lock all ticket types of an event and read them; return None for an unknown event."""
        ...

    async def save_ticket_types(self, inventory: EventInventory) -> None:
        """Store every ticket type's description and capacity, and `resync_after`."""
        ...


class InventoryQueries(Protocol):
    """Inventory, read without locks."""

    async def find_inventories(self, event_ids: Collection[UUID]) -> list[EventInventory]:
        """Read the inventory of those of the events that booking knows."""
        ...


class AvailabilityPublisher(Protocol):
    """Publishes availability to the gateways. Never needed for correctness; never raises."""

    async def publish(
        self,
        inventories: Sequence[EventInventory],
        transitions: Sequence[TicketTypeInventory] = (),
    ) -> None:
        """Publish the availability of some events, unless a newer one is published already.

        `transitions` are ticket types of these events that have just sold out or become
        available again. Gateways keep them in a sold-out cache.
        """
        ...
