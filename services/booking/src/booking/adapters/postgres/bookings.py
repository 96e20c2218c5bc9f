"""Transactions and reads on the schema `booking`."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import asyncpg
from goticket_platform.messaging.outbox import OutboxNotifier

from booking.adapters.postgres.queries import QUERIES
from booking.adapters.postgres.records import ids_of
from booking.adapters.postgres.rows import (
    Row,
    booking_of_event,
    event_of,
    inventories_of,
    ticket_of_booking,
    used_keys_of,
)
from booking.adapters.postgres.transaction import PostgresTransaction
from booking.application.ports import (
    AvailabilityPublisher,
    BookingKey,
    BookingOfEvent,
    RequestKey,
    Snapshot,
    TicketOfBooking,
)
from booking.domain.booking import BookingStatus
from booking.domain.errors import Busy
from booking.domain.event import Event
from booking.domain.inventory import EventInventory

LAST_ID = UUID(int=2**128 - 1)
MAX_DUE_EVENTS = 100
"""Most events that one query for due work returns."""
MAX_DUE_HOLDS = 1_000
"""Most holds that are read to find the events with due holds."""


class PostgresBookings:
    """Implements the ports that need no open transaction.

    These are `CreationStore`, `BookingQueries`, `BookingDetailsQueries`,
    `InventoryQueries` and `MaintenanceQueries`.
    """

    def __init__(
        self, pool: asyncpg.Pool, notifier: OutboxNotifier, availability: AvailabilityPublisher
    ) -> None:
        self._pool = pool
        self._notifier = notifier
        self._availability = availability

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """See the port."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                transaction = PostgresTransaction(connection)
                yield transaction
        except asyncpg.LockNotAvailableError as error:
            raise Busy from error
        effects = transaction.effects
        if effects.outbox_written:
            self._notifier.wake()
        if effects.inventories:
            await self._availability.publish(effects.inventories, effects.transitions)

    async def find_booking(self, booking_id: UUID) -> BookingOfEvent | None:
        """See the port."""
        row = await self._pool.fetchrow(QUERIES["booking"], booking_id)
        return booking_of_event(row) if row else None

    async def read_snapshot(
        self, event_ids: Collection[UUID], keys: Collection[RequestKey]
    ) -> Snapshot:
        """See the port. One statement reads as of one moment."""
        rows = await self._pool.fetch(QUERIES["snapshot"], list(event_ids), *ids_of(keys))
        used = {(used.user_id, used.key) for used in used_keys_of(rows)}
        return Snapshot({found.event.id: found for found in inventories_of(rows)}, used)

    async def find_event(self, event_id: UUID) -> Event | None:
        """See the port."""
        row = await self._pool.fetchrow(QUERIES["event"], event_id)
        return event_of(row) if row else None

    async def list_bookings(
        self,
        *,
        user_id: UUID | None,
        event_id: UUID | None,
        status: BookingStatus | None,
        before: UUID | None,
        limit: int,
    ) -> list[BookingOfEvent]:
        """See the port."""
        end = before or LAST_ID
        wanted = status.value if status else None
        if user_id is None:
            rows = await self._pool.fetch(
                QUERIES["bookings_of_event"], event_id, end, wanted, limit
            )
        else:
            rows = await self._pool.fetch(
                QUERIES["bookings_of_user"], user_id, end, event_id, wanted, limit
            )
        return [booking_of_event(row) for row in rows]

    async def find_details(self, wanted: Collection[BookingKey]) -> list[BookingOfEvent]:
        """See the port."""
        rows = await self._pool.fetch(QUERIES["bookings_by_key"], *ids_of(wanted))
        return [booking_of_event(row) for row in rows]

    async def find_ticket(self, ticket_id: UUID) -> TicketOfBooking | None:
        """See the port."""
        row = await self._pool.fetchrow(QUERIES["ticket"], ticket_id)
        return ticket_of_booking(row) if row else None

    async def list_tickets(
        self, user_id: UUID, before: UUID | None, limit: int
    ) -> list[TicketOfBooking]:
        """See the port."""
        rows = await self._pool.fetch(QUERIES["tickets_of_user"], user_id, before or LAST_ID, limit)
        return [ticket_of_booking(row) for row in rows]

    async def find_inventories(self, event_ids: Collection[UUID]) -> list[EventInventory]:
        """See the port."""
        return inventories_of(await self._pool.fetch(QUERIES["inventories"], list(event_ids)))

    async def events_with_due_holds(self, now: datetime) -> list[UUID]:
        """See the port."""
        return _ids(await self._pool.fetch(QUERIES["events_with_due_holds"], now, MAX_DUE_HOLDS))

    async def events_to_close(self) -> list[UUID]:
        """See the port."""
        return _ids(await self._pool.fetch(QUERIES["events_to_close"], MAX_DUE_EVENTS))

    async def events_to_resync(self, now: datetime) -> list[UUID]:
        """See the port."""
        return _ids(await self._pool.fetch(QUERIES["events_to_resync"], now, MAX_DUE_EVENTS))

    async def purge_idempotency_keys(self, before: datetime, limit: int) -> int:
        """See the port."""
        status = await self._pool.execute(QUERIES["purge_idempotency_keys"], before, limit)
        return int(status.rpartition(" ")[2])


def _ids(rows: Sequence[Row]) -> list[UUID]:
    return [row["event_id"] for row in rows]
