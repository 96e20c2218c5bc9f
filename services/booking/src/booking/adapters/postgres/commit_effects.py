"""The effects of a transaction that are published after its commit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from booking.adapters.postgres.rows import Row
from booking.domain.inventory import EventInventory, TicketTypeInventory


@dataclass
class CommitEffects:
    """Outbox messages, changed inventories and availability transitions of a transaction.

    `transitions` are ticket types that sold out or became available again. They are found
    by comparison with `_available`, the availability when the inventory was locked.
    """

    outbox_written: bool = False
    inventories: list[EventInventory] = field(default_factory=list)
    transitions: list[TicketTypeInventory] = field(default_factory=list)
    _available: dict[UUID, int] = field(default_factory=dict)

    def track(self, inventory: EventInventory) -> EventInventory:
        """Record the availability of a locked inventory; return the inventory."""
        for kind in inventory.ticket_types.values():
            self._available[kind.id] = kind.available
        return inventory

    def apply(self, inventories: Mapping[UUID, EventInventory], rows: Sequence[Row]) -> None:
        """Set the inventories' counts to those that the database has returned."""
        for row in rows:
            kind = inventories[row["event_id"]].ticket_types[row["ticket_type_id"]]
            kind.held, kind.sold = row["held"], row["sold"]
            kind.version = row["inventory_version"]
            before = self._available.get(kind.id)
            if before is not None and (before == 0) != (kind.available == 0):
                self.transitions.append(kind)
        for inventory in inventories.values():
            inventory.changes.clear()
        self.inventories += inventories.values()
