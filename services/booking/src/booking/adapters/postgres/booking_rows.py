"""Bookings and tickets in a transaction."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
from goticket_platform.telemetry import inject_context

from booking.adapters.postgres.commit_effects import CommitEffects
from booking.adapters.postgres.connection import Connection, domain_error
from booking.adapters.postgres.queries import QUERIES
from booking.adapters.postgres.records import changed_bookings_json, ids_of
from booking.adapters.postgres.rows import bookings_of, bookings_of_events
from booking.application.ports import BookingKey
from booking.domain.booking import Booking, BookingChange
from booking.domain.inventory import EventInventory


class PostgresBookingRows:
    """Implements the port `BookingRows`."""

    def __init__(self, connection: Connection, effects: CommitEffects) -> None:
        self._connection = connection
        self._effects = effects

    async def lock(self, event_id: UUID, booking_id: UUID) -> Booking:
        """See the port."""
        [booking] = await self._lock("lock_booking", event_id, booking_id)
        return booking

    async def claim_due_holds(
        self, event_id: UUID, booking_ids: Sequence[UUID], now: datetime
    ) -> list[Booking]:
        """See the port."""
        return await self._lock("claim_due_holds", event_id, list(booking_ids), now)

    async def claim_open(self, event_id: UUID, booking_ids: Sequence[UUID]) -> list[Booking]:
        """See the port."""
        return await self._lock("claim_open_bookings", event_id, list(booking_ids))

    async def find(self, wanted: Collection[BookingKey]) -> dict[UUID, Booking]:
        """See the port."""
        rows = await self._connection.fetch(QUERIES["bookings_by_key"], *ids_of(wanted))
        return {found.booking.id: found.booking for found in bookings_of_events(rows)}

    async def save(self, changes: Sequence[BookingChange], inventory: EventInventory) -> None:
        """See the port. One statement: each round trip keeps the inventory locked longer."""
        if not changes:
            return
        argument = changed_bookings_json(changes, inventory, inject_context())
        changed = bool(inventory.changes)
        try:
            rows = await self._connection.fetch(
                QUERIES["change_bookings"], argument, inventory.event.id, inventory.next_version
            )
        except asyncpg.CheckViolationError as error:
            raise domain_error(error) from error
        self._effects.outbox_written = True
        if changed:
            self._effects.apply({inventory.event.id: inventory}, rows)

    async def _lock(self, query: str, *arguments: object) -> list[Booking]:
        """Lock bookings, then read their items and tickets as of after the locks."""
        rows = await self._connection.fetch(QUERIES[query], *arguments)
        if not rows:
            return []
        wanted = ids_of([(row["event_id"], row["id"]) for row in rows])
        items = await self._connection.fetch(QUERIES["items"], *wanted)
        tickets = await self._connection.fetch(QUERIES["tickets"], *wanted)
        return bookings_of(rows, items, tickets)
