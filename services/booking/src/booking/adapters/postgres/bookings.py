"""Transactions and reads on the schema `booking`."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
from goticket_platform.messaging.outbox import OutboxNotifier

from booking.adapters.postgres.queries import QUERIES
from booking.adapters.postgres.records import ids_of
from booking.adapters.postgres.rows import (
    bookings_of_events,
    check_in_ticket_of,
    event_of,
    inventories_of,
    tickets_of_bookings,
    used_keys_of,
)
from booking.adapters.postgres.transaction import PostgresTransaction
from booking.application.ports import (
    FIRST_ID,
    AvailabilityPublisher,
    BookingKey,
    BookingOfEvent,
    CheckInPosition,
    CheckInTicket,
    ConfirmedBookings,
    DueHold,
    EventBuyer,
    RequestKey,
    Snapshot,
    TicketOfBooking,
    TicketPageQuery,
)
from booking.domain.booking import BookingStatus, TicketStatus
from booking.domain.errors import Busy
from booking.domain.event import Event
from booking.domain.inventory import EventInventory

LAST_ID = UUID(int=2**128 - 1)
MAX_DUE_EVENTS = 100
"""Most events in one page of due work."""
MAX_DUE_HOLDS = 1_000
"""Most holds in one page of due holds."""
MAX_OPEN_BOOKINGS = 500
"""Most bookings in one page of open bookings, which are cancelled in one transaction."""
_FIRST_TIME = datetime.min.replace(tzinfo=UTC)


class PostgresBookings:
    """Implements the ports that need no open transaction.

    These are `CreationStore`, `BookingQueries`, `BookingDetailsQueries`, `CheckInQueries`,
    `EventBuyerQueries`, `InventoryQueries` and `MaintenanceQueries`.
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
        found = await self.find_bookings([booking_id])
        return found[0] if found else None

    async def find_bookings(self, booking_ids: Collection[UUID]) -> list[BookingOfEvent]:
        """See the port."""
        return bookings_of_events(await self._pool.fetch(QUERIES["bookings"], list(booking_ids)))

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
        return bookings_of_events(rows)

    async def find_details(self, wanted: Collection[BookingKey]) -> list[BookingOfEvent]:
        """See the port."""
        rows = await self._pool.fetch(QUERIES["bookings_by_key"], *ids_of(wanted))
        return bookings_of_events(rows)

    async def list_confirmed(self, event_id: UUID, after: UUID, limit: int) -> ConfirmedBookings:
        """See the port. One statement reads version and bookings as of one moment."""
        rows = await self._pool.fetch(
            QUERIES["confirmed_bookings_of_event"], event_id, after, limit
        )
        return ConfirmedBookings(
            event_version=rows[0]["version"] if rows else 0,
            bookings=tuple((row["id"], row["user_id"]) for row in rows if row["id"]),
        )

    async def find_of_buyers(self, buyers: Collection[EventBuyer]) -> list[BookingOfEvent]:
        """See the port."""
        rows = await self._pool.fetch(QUERIES["confirmed_bookings_of_buyers"], *ids_of(buyers))
        return bookings_of_events(rows)

    async def find_tickets(self, ticket_ids: Collection[UUID]) -> list[TicketOfBooking]:
        """See the port."""
        rows = await self._pool.fetch(QUERIES["printed_tickets"], list(ticket_ids))
        return tickets_of_bookings(rows)

    async def list_tickets(self, wanted: Sequence[TicketPageQuery]) -> list[list[TicketOfBooking]]:
        """See the port."""
        rows = await self._pool.fetch(
            QUERIES["tickets_of_users"],
            [page.user_id for page in wanted],
            [page.before or LAST_ID for page in wanted],
            [page.limit for page in wanted],
        )
        pages: list[list[TicketOfBooking]] = [[] for _ in wanted]
        for row, ticket in zip(rows, tickets_of_bookings(rows), strict=True):
            pages[row["page"] - 1].append(ticket)
        return pages

    async def find_inventories(self, event_ids: Collection[UUID]) -> list[EventInventory]:
        """See the port."""
        return inventories_of(await self._pool.fetch(QUERIES["inventories"], list(event_ids)))

    async def check_in_version(self, event_id: UUID) -> int:
        """See the port."""
        version: int = await self._pool.fetchval(QUERIES["check_in_version"], event_id)
        return version

    async def check_in_tickets(
        self,
        event_id: UUID,
        status: TicketStatus,
        after: CheckInPosition,
        up_to: int,
        limit: int,
    ) -> list[CheckInTicket]:
        """See the port."""
        rows = await self._pool.fetch(
            QUERIES["check_in_tickets"],
            event_id,
            status.value,
            after.version,
            after.ticket_id,
            up_to,
            limit,
        )
        return [check_in_ticket_of(row) for row in rows]

    async def due_holds(self, now: datetime, after: DueHold | None = None) -> list[DueHold]:
        """See the port."""
        position = (after.expires_at, after.booking_id) if after else (_FIRST_TIME, FIRST_ID)
        rows = await self._pool.fetch(QUERIES["due_holds"], now, *position, MAX_DUE_HOLDS)
        return [DueHold(row["event_id"], row["id"], row["expires_at"]) for row in rows]

    async def events_to_close(self, after: UUID = FIRST_ID) -> list[UUID]:
        """See the port."""
        rows = await self._pool.fetch(QUERIES["events_to_close"], after, MAX_DUE_EVENTS)
        return [row["event_id"] for row in rows]

    async def open_bookings(self, event_id: UUID, after: UUID = FIRST_ID) -> list[UUID]:
        """See the port."""
        rows = await self._pool.fetch(QUERIES["open_bookings"], event_id, after, MAX_OPEN_BOOKINGS)
        return [row["id"] for row in rows]

    async def events_to_resync(self, now: datetime, after: UUID = FIRST_ID) -> list[UUID]:
        """See the port."""
        rows = await self._pool.fetch(QUERIES["events_to_resync"], now, after, MAX_DUE_EVENTS)
        return [row["event_id"] for row in rows]

    async def purge_idempotency_keys(self, before: datetime, limit: int) -> int:
        """See the port."""
        status = await self._pool.execute(QUERIES["purge_idempotency_keys"], before, limit)
        return int(status.rpartition(" ")[2])
