"""Bookings, lists, stock and duties, from PostgreSQL."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import asyncpg
from goticket_platform.messaging.outbox import OutboxNotifier

from booking.adapters.postgres.rows import Row, answers_of, event_of, stocks_of, ticket_of_booking
from booking.adapters.postgres.transaction import (
    QUERIES,
    PostgresTransaction,
    key_arrays,
    with_lines,
)
from booking.application.ports import Availability, BookingOfEvent, RequestKey, TicketOfBooking
from booking.domain.booking import BookingStatus
from booking.domain.errors import Busy
from booking.domain.event import Event
from booking.domain.stock import EventStock

LAST_ID = UUID(int=2**128 - 1)
DUTIES = 100
"""Events named at a time."""
DUE_HOLDS = 1_000
"""Holds looked at to find the events whose holds are due."""


class PostgresBookings:
    """What the ports `Bookings`, `BookingLists`, `Stocks` and `Duties` ask for."""

    def __init__(
        self, pool: asyncpg.Pool, notifier: OutboxNotifier, availability: Availability
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
        if transaction.recorded:
            self._notifier.wake()
        if transaction.touched:
            await self._availability.show(transaction.touched, transaction.turned)

    async def find_booking(self, booking_id: UUID) -> BookingOfEvent | None:
        """See the port."""
        rows = await self._pool.fetch(QUERIES["booking"], booking_id)
        found = await self._with_events(rows)
        return found[0] if found else None

    async def look(
        self, event_ids: Collection[UUID], keys: Collection[RequestKey]
    ) -> tuple[dict[UUID, EventStock], set[RequestKey]]:
        """See the port. One statement sees one moment."""
        rows = await self._pool.fetch(QUERIES["sale"], list(event_ids), *key_arrays(keys))
        used = {(answer.user_id, answer.key) for answer in answers_of(rows)}
        return {stock.event.id: stock for stock in stocks_of(rows)}, used

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
            rows = await self._pool.fetch(QUERIES["bookings_of_all"], event_id, end, wanted, limit)
        else:
            rows = await self._pool.fetch(
                QUERIES["bookings_of_user"], user_id, end, event_id, wanted, limit
            )
        return await self._with_events(rows)

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

    async def find_stocks(self, event_ids: Collection[UUID]) -> list[EventStock]:
        """See the port."""
        return stocks_of(await self._pool.fetch(QUERIES["stocks"], list(event_ids)))

    async def events_with_due_holds(self, now: datetime) -> list[UUID]:
        """See the port."""
        return _ids(await self._pool.fetch(QUERIES["events_with_due_holds"], now, DUE_HOLDS))

    async def events_to_close(self) -> list[UUID]:
        """See the port."""
        return _ids(await self._pool.fetch(QUERIES["events_to_close"], DUTIES))

    async def events_to_resync(self, now: datetime) -> list[UUID]:
        """See the port."""
        return _ids(await self._pool.fetch(QUERIES["events_to_resync"], now, DUTIES))

    async def forget_keys(self, before: datetime, limit: int) -> int:
        """See the port."""
        status = await self._pool.execute(QUERIES["forget_keys"], before, limit)
        return int(status.rpartition(" ")[2])

    async def _with_events(self, rows: Sequence[Row]) -> list[BookingOfEvent]:
        """Read what belongs to booking rows."""
        if not rows:
            return []
        bookings = await with_lines(self._pool, rows)
        wanted = list({booking.event_id for booking in bookings})
        events = {
            row["event_id"]: event_of(row)
            for row in await self._pool.fetch(QUERIES["events"], wanted)
        }
        return [BookingOfEvent(booking, events[booking.event_id]) for booking in bookings]


def _ids(rows: Sequence[Row]) -> list[UUID]:
    return [row["event_id"] for row in rows]
