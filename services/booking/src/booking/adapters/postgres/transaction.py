"""One transaction on the schema booking."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
from goticket_platform.messaging.inbox import first_time
from goticket_platform.messaging.outbox import Outbox
from goticket_platform.postgres import load_queries

from booking.adapters.postgres.rows import Row, bookings_of, stocks_of
from booking.application.ports import Answer, KeyTaken, RequestKey
from booking.domain.booking import (
    Booking,
    BookingCancelled,
    BookingConfirmed,
    BookingEvent,
    BookingExpired,
    BookingHeld,
)
from booking.domain.errors import RequestInProgress, SoldOut
from booking.domain.event import Event, EventStatus
from booking.domain.stock import EventStock
from booking.wire import outbox_event

SCHEMA = "booking"
CONSUMER = "booking.catalog-events"
QUERIES = load_queries("booking.adapters.postgres")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class PostgresTransaction:
    """What the port `Transaction` asks for. `touched` is the stock as it will be committed."""

    def __init__(self, connection: Connection, outbox: Outbox) -> None:
        self._connection = connection
        self._outbox = outbox
        self.recorded = False
        self.touched: EventStock | None = None

    async def lock_booking(self, event_id: UUID, booking_id: UUID) -> Booking:
        """See the port."""
        [booking] = await self._load_bookings("lock_booking", event_id, booking_id)
        return booking

    async def claim_due_holds(self, event_id: UUID, now: datetime, limit: int) -> list[Booking]:
        """See the port."""
        return await self._load_bookings("claim_due_holds", event_id, now, limit)

    async def claim_open_bookings(self, event_id: UUID, after: UUID, limit: int) -> list[Booking]:
        """See the port."""
        return await self._load_bookings("claim_open_bookings", event_id, after, limit)

    async def lock_event(self, event_id: UUID) -> None:
        """See the port."""
        await self._connection.fetch(QUERIES["lock_event"], event_id)

    async def lock_stock(
        self, event_id: UUID, ticket_type_ids: Collection[UUID] | None
    ) -> EventStock | None:
        """See the port. The second statement's snapshot is taken after the locks are held."""
        wanted = None if ticket_type_ids is None else list(ticket_type_ids)
        while True:
            rows = await self._connection.fetch(QUERIES["lock_inventory"], event_id, wanted)
            locked = {row["ticket_type_id"] for row in rows}
            stocks = stocks_of(await self._connection.fetch(QUERIES["stocks"], [event_id]))
            if not stocks:
                return None
            [stock] = stocks
            known = stock.ticket_types.keys()
            if (known if wanted is None else known & set(wanted)) <= locked:
                return stock
            # A ticket type was added between the two statements, and its row is not
            # locked: go back for it.

    async def find_answers(
        self, event_id: UUID, keys: Collection[RequestKey]
    ) -> dict[RequestKey, Answer]:
        """See the port."""
        if not keys:
            return {}
        users, texts = zip(*keys, strict=True)
        rows = await self._connection.fetch(QUERIES["find_answers"], users, texts)
        ids = [row["booking_id"] for row in rows if row["event_id"] == event_id]
        found = await self._load_bookings("bookings_of_event", event_id, ids) if ids else []
        by_id = {booking.id: booking for booking in found}
        return {
            (row["user_id"], row["key"]): Answer(row["fingerprint"], by_id.get(row["booking_id"]))
            for row in rows
        }

    async def add(
        self,
        placed: Sequence[BookingHeld | BookingConfirmed],
        fingerprints: Mapping[UUID, tuple[str, bytes]],
        stock: EventStock,
    ) -> None:
        """See the port."""
        bookings = [event.booking for event in placed]
        await self._add_keys(bookings, fingerprints)
        await self._add_bookings(bookings)
        await self._add_tickets(bookings)
        await self._record(placed, stock)

    async def save(self, happened: Sequence[BookingEvent], stock: EventStock) -> None:
        """See the port."""
        if not happened:
            return
        bookings = [event.booking for event in happened]
        await self._connection.execute(
            QUERIES["change_bookings"],
            stock.event.id,
            [booking.id for booking in bookings],
            [booking.status.value for booking in bookings],
            [booking.version for booking in bookings],
            [booking.confirmed_at for booking in bookings],
            [booking.closed_at for booking in bookings],
        )
        await self._add_tickets([e.booking for e in happened if isinstance(e, BookingConfirmed)])
        closed = [e.booking for e in happened if isinstance(e, BookingCancelled | BookingExpired)]
        if void := [booking.id for booking in closed if booking.tickets]:
            await self._connection.execute(QUERIES["void_tickets"], stock.event.id, void)
        await self._record(happened, stock)

    async def follow_event(self, event: Event, read_at: datetime | None) -> bool:
        """See the port."""
        stored = await self._connection.fetchval(
            QUERIES["follow_event"],
            event.id,
            event.organizer_id,
            event.name,
            event.location,
            event.timezone,
            event.starts_at,
            event.ends_at,
            event.currency,
            event.status.value,
            event.version,
            event.status is EventStatus.CANCELLED,
            read_at,
        )
        return stored is not None

    async def save_ticket_types(self, stock: EventStock) -> None:
        """See the port."""
        kinds = sorted(stock.ticket_types.values(), key=lambda kind: kind.id)
        rows = await self._connection.fetch(
            QUERIES["save_ticket_types"],
            stock.event.id,
            [kind.id for kind in kinds],
            [kind.position for kind in kinds],
            [kind.name for kind in kinds],
            [kind.price for kind in kinds],
            [kind.capacity for kind in kinds],
            [kind.max_per_booking for kind in kinds],
            [kind.active for kind in kinds],
        )
        await self._connection.execute(
            QUERIES["save_resync_after"], stock.event.id, stock.resync_after
        )
        self._touch(stock, rows)

    async def finish_closing(self, event_id: UUID) -> None:
        """See the port."""
        await self._connection.execute(QUERIES["finish_closing"], event_id)

    async def first_time(self, message_id: UUID) -> bool:
        """See the port."""
        return await first_time(self._connection, SCHEMA, CONSUMER, message_id)

    async def _load_bookings(self, query: str, *arguments: object) -> list[Booking]:
        rows = await self._connection.fetch(QUERIES[query], *arguments)
        return await with_lines(self._connection, rows)

    async def _add_keys(
        self, bookings: Sequence[Booking], fingerprints: Mapping[UUID, tuple[str, bytes]]
    ) -> None:
        """Insert keys in their order, so that two transactions never wait for each other."""
        rows = sorted(
            (booking.user_id, *fingerprints[booking.id], booking.id)
            for booking in bookings
            if booking.id in fingerprints
        )
        if not rows:
            return
        first = bookings[0]
        try:
            await self._connection.execute(
                QUERIES["add_keys"], first.event_id, first.created_at, *zip(*rows, strict=True)
            )
        except asyncpg.UniqueViolationError as error:
            raise KeyTaken from error
        except asyncpg.LockNotAvailableError as error:
            # Only a transaction that has inserted the same key can be in the way here.
            raise RequestInProgress from error

    async def _add_bookings(self, bookings: Sequence[Booking]) -> None:
        event_id = bookings[0].event_id
        await self._connection.execute(
            QUERIES["add_bookings"],
            event_id,
            [booking.id for booking in bookings],
            [booking.user_id for booking in bookings],
            [booking.buyer_email for booking in bookings],
            [booking.buyer_name for booking in bookings],
            [booking.status.value for booking in bookings],
            [booking.total for booking in bookings],
            [booking.currency for booking in bookings],
            [booking.version for booking in bookings],
            [booking.created_at for booking in bookings],
            [booking.expires_at for booking in bookings],
            [booking.confirmed_at for booking in bookings],
        )
        items = [
            (booking.id, place, item)
            for booking in bookings
            for place, item in enumerate(booking.items)
        ]
        await self._connection.execute(
            QUERIES["add_items"],
            event_id,
            [booking_id for booking_id, _, _ in items],
            [place for _, place, _ in items],
            [item.ticket_type_id for _, _, item in items],
            [item.ticket_type_name for _, _, item in items],
            [item.quantity for _, _, item in items],
            [item.unit_price for _, _, item in items],
        )

    async def _add_tickets(self, bookings: Sequence[Booking]) -> None:
        tickets = [(booking, ticket) for booking in bookings for ticket in booking.tickets]
        if not tickets:
            return
        await self._connection.execute(
            QUERIES["add_tickets"],
            tickets[0][0].event_id,
            [ticket.id for _, ticket in tickets],
            [booking.id for booking, _ in tickets],
            [booking.user_id for booking, _ in tickets],
            [ticket.ticket_type_id for _, ticket in tickets],
            [ticket.code for _, ticket in tickets],
        )

    async def _record(self, happened: Sequence[BookingEvent], stock: EventStock) -> None:
        await self._outbox.append(
            self._connection, [outbox_event(event, stock.event) for event in happened]
        )
        self.recorded = True
        moves = [(type_id, move) for type_id, move in stock.moves.items() if move.held or move.sold]
        if not moves:
            return
        try:
            rows = await self._connection.fetch(
                QUERIES["move_stock"],
                stock.event.id,
                [type_id for type_id, _ in moves],
                [move.held for _, move in moves],
                [move.sold for _, move in moves],
            )
        except asyncpg.CheckViolationError as error:
            if error.constraint_name == "inventory_never_oversold":
                raise SoldOut from error
            raise
        stock.moves.clear()
        self._touch(stock, rows)

    def _touch(self, stock: EventStock, rows: Sequence[Row]) -> None:
        """Take over the counts as the database has them."""
        for row in rows:
            kind = stock.ticket_types[row["ticket_type_id"]]
            kind.held, kind.sold = row["held"], row["sold"]
            kind.stock_version = row["stock_version"]
        self.touched = stock


async def with_lines(connection: Connection | asyncpg.Pool, rows: Sequence[Row]) -> list[Booking]:
    """Read the lines and tickets of booking rows."""
    if not rows:
        return []
    wanted = [row["event_id"] for row in rows], [row["id"] for row in rows]
    items = await connection.fetch(QUERIES["items"], *wanted)
    tickets = await connection.fetch(QUERIES["tickets"], *wanted)
    return bookings_of(rows, items, tickets)
