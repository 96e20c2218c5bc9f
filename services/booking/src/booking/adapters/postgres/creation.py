"""Creation of bookings in a transaction."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

import asyncpg

from booking.adapters.postgres.booking_rows import PostgresBookingRows
from booking.adapters.postgres.commit_effects import CommitEffects
from booking.adapters.postgres.connection import Connection, domain_error
from booking.adapters.postgres.inventory_rows import PostgresInventoryRows, covers
from booking.adapters.postgres.queries import QUERIES
from booking.adapters.postgres.records import ids_of, new_bookings_json
from booking.adapters.postgres.rows import Row, buyer_usage_of, inventories_of, used_keys_of
from booking.application.ports import (
    BuyerOfEvent,
    IdempotencyRecord,
    KeyTaken,
    LockedSnapshot,
    NewBooking,
    RequestKey,
)
from booking.domain.buyer_usage import BuyerUsage
from booking.domain.errors import RequestInProgress
from booking.domain.inventory import EventInventory

KEYS_TABLE = "idempotency_keys"


class PostgresBookingCreation:
    """Implements the port `BookingCreation`."""

    def __init__(
        self,
        connection: Connection,
        effects: CommitEffects,
        bookings: PostgresBookingRows,
        inventory: PostgresInventoryRows,
    ) -> None:
        self._connection = connection
        self._effects = effects
        self._bookings = bookings
        self._inventory = inventory

    async def lock_snapshot(
        self, event_ids: Collection[UUID], keys: Collection[RequestKey]
    ) -> LockedSnapshot:
        """See the port. The second statement's snapshot is taken after the locks are held."""
        while True:
            locked = await self._lock(event_ids)
            rows = await self._connection.fetch(QUERIES["snapshot"], list(event_ids), *ids_of(keys))
            inventories = {found.event.id: found for found in inventories_of(rows)}
            contended = {
                event_id
                for event_id, inventory in inventories.items()
                if not covers(locked, inventory)
            }
            if contended and len(event_ids) == 1:
                continue
            free = {
                event_id: self._effects.track(inventories[event_id])
                for event_id in inventories.keys() - contended
            }
            return LockedSnapshot(free, await self._records(rows), contended)

    async def find_buyer_usage(
        self, buyers: Collection[BuyerOfEvent]
    ) -> defaultdict[BuyerOfEvent, BuyerUsage]:
        """See the port."""
        rows = await self._connection.fetch(QUERIES["buyer_usage"], *ids_of(buyers))
        return buyer_usage_of(rows)

    async def add(
        self, new_bookings: Sequence[NewBooking], inventories: Collection[EventInventory]
    ) -> None:
        """See the port. One statement: each round trip keeps the inventory locked longer."""
        changed = {each.event.id: each for each in inventories if each.changes}
        argument = new_bookings_json(new_bookings, changed.values())
        try:
            rows = await self._connection.fetch(QUERIES["create_bookings"], argument)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "idempotency_keys_pkey":
                raise KeyTaken from error
            raise
        except asyncpg.LockNotAvailableError as error:
            # The inventory is locked and all ids are new. So a single row in the way is a
            # key that another transaction has inserted. Otherwise a table is being altered.
            if KEYS_TABLE in (error.context or ""):
                raise RequestInProgress from error
            raise
        except asyncpg.CheckViolationError as error:
            raise domain_error(error) from error
        self._effects.outbox_written = True
        self._effects.apply(changed, rows)

    async def _lock(self, event_ids: Collection[UUID]) -> set[UUID]:
        """Lock ticket types: wait for those of one event, skip contended ones of several."""
        if len(event_ids) == 1:
            [event_id] = event_ids
            return await self._inventory.lock_types(event_id)
        rows = await self._connection.fetch(QUERIES["lock_free_inventory"], list(event_ids))
        return {row["ticket_type_id"] for row in rows}

    async def _records(self, rows: Sequence[Row]) -> dict[RequestKey, IdempotencyRecord]:
        used = used_keys_of(rows)
        bookings = await self._bookings.find([key.booking for key in used]) if used else {}
        return {
            (key.user_id, key.key): IdempotencyRecord(key.fingerprint, bookings.get(key.booking[1]))
            for key in used
        }
