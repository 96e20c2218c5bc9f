"""Inventory in a transaction."""

from collections.abc import Collection
from uuid import UUID

from booking.adapters.postgres.commit_effects import CommitEffects
from booking.adapters.postgres.connection import Connection
from booking.adapters.postgres.queries import QUERIES
from booking.adapters.postgres.records import ticket_types_json
from booking.adapters.postgres.rows import inventories_of
from booking.domain.inventory import EventInventory


class PostgresInventoryRows:
    """Implements the port `InventoryRows`."""

    def __init__(self, connection: Connection, effects: CommitEffects) -> None:
        self._connection = connection
        self._effects = effects

    async def lock(self, event_id: UUID) -> EventInventory | None:
        """See the port. The second statement's snapshot is taken after the locks are held."""
        while True:
            locked = await self.lock_types(event_id)
            rows = await self._connection.fetch(QUERIES["inventories"], [event_id])
            inventories = inventories_of(rows)
            if not inventories:
                return None
            if covers(locked, inventories[0]):
                return self._effects.track(inventories[0])

    async def save_ticket_types(self, inventory: EventInventory) -> None:
        """See the port."""
        event_id = inventory.event.id
        argument = ticket_types_json(inventory.ticket_types.values())
        rows = await self._connection.fetch(QUERIES["save_ticket_types"], event_id, argument)
        await self._connection.execute(
            QUERIES["save_resync_after"], event_id, inventory.resync_after
        )
        self._effects.apply({event_id: inventory}, rows)

    async def lock_types(self, event_id: UUID) -> set[UUID]:
        """Lock all ticket types of one event; return them."""
        rows = await self._connection.fetch(QUERIES["lock_inventory"], event_id)
        return {row["ticket_type_id"] for row in rows}


def covers(locked: Collection[UUID], inventory: EventInventory) -> bool:
    """Return whether all ticket types of the event are locked.

    One that was added between the lock and the read is not. The caller locks again.
    """
    return inventory.ticket_types.keys() <= set(locked)
