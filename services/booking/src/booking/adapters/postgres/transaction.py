"""One transaction on the schema booking."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
from goticket_platform.messaging.inbox import record_once
from goticket_platform.postgres import load_queries

from booking.adapters.postgres.columns import (
    booking_columns,
    item_columns,
    key_columns,
    move_columns,
    outbox_columns,
    ticket_columns,
)
from booking.adapters.postgres.rows import Row, answers_of, bookings_of, stocks_of, taken_of
from booking.application.ports import (
    Answer,
    BookingKey,
    BuyerOfEvent,
    KeyTaken,
    OpenSale,
    RequestKey,
    Sale,
    TypesOfEvents,
)
from booking.domain.booking import (
    Booking,
    BookingCancelled,
    BookingConfirmed,
    BookingEvent,
    BookingExpired,
)
from booking.domain.errors import RequestInProgress, SoldOut
from booking.domain.event import Event, EventStatus
from booking.domain.limits import Taken
from booking.domain.stock import EventStock, TicketTypeStock

SCHEMA = "booking"
CONSUMER = "booking.catalog-events"
KEYS_TABLE = "idempotency_keys"
QUERIES = load_queries("booking.adapters.postgres")

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class PostgresTransaction:
    """What the port `Transaction` asks for.

    `touched` are the stocks as they will be committed, `turned` what of them has sold out or
    come back. `_left` is what was available when the stock was locked.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.recorded = False
        self.touched: list[EventStock] = []
        self.turned: list[TicketTypeStock] = []
        self._left: dict[UUID, int] = {}

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
            locked = await self._lock(event_id, wanted)
            stocks = stocks_of(await self._connection.fetch(QUERIES["stocks"], [event_id]))
            if not stocks:
                return None
            if _covers(locked, stocks[0], wanted):
                return self._begin(stocks[0])

    async def open_sale(self, wanted: TypesOfEvents, keys: Collection[RequestKey]) -> OpenSale:
        """See the port. What is locked is read by a second statement, as of after the locks."""
        while True:
            locked = await self._lock_for_sale(wanted)
            rows = await self._connection.fetch(QUERIES["sale"], list(wanted), *key_arrays(keys))
            stocks = {stock.event.id: stock for stock in stocks_of(rows)}
            contended = {
                event_id
                for event_id, stock in stocks.items()
                if not _covers(locked, stock, wanted[event_id])
            }
            if contended and len(wanted) == 1:
                continue
            free = {name: self._begin(stocks[name]) for name in stocks.keys() - contended}
            return OpenSale(free, await self._answers(rows), contended)

    async def _lock_for_sale(self, wanted: TypesOfEvents) -> set[UUID]:
        if len(wanted) == 1:
            [(event_id, types)] = wanted.items()
            return await self._lock(event_id, None if types is None else list(types))
        rows = await self._connection.fetch(
            QUERIES["lock_free_inventory"],
            list(wanted),
            [event_id for event_id, types in wanted.items() if types is None],
            [type_id for types in wanted.values() for type_id in types or ()],
        )
        return {row["ticket_type_id"] for row in rows}

    async def _answers(self, rows: Sequence[Row]) -> dict[RequestKey, Answer]:
        """Read what the keys were answered with."""
        found = answers_of(rows)
        made = await self.find_bookings([use.booking for use in found]) if found else {}
        return {
            (use.user_id, use.key): Answer(use.fingerprint, made.get(use.booking[1]))
            for use in found
        }

    async def find_bookings(self, wanted: Collection[BookingKey]) -> dict[UUID, Booking]:
        """See the port."""
        found = await self._load_bookings(
            "bookings_by_key",
            [event_id for event_id, _ in wanted],
            [booking_id for _, booking_id in wanted],
        )
        return {booking.id: booking for booking in found}

    async def find_taken(
        self, buyers: Collection[BuyerOfEvent]
    ) -> defaultdict[BuyerOfEvent, Taken]:
        """See the port."""
        rows = await self._connection.fetch(
            QUERIES["taken"],
            [event_id for event_id, _ in buyers],
            [user_id for _, user_id in buyers],
        )
        return taken_of(rows)

    async def add(self, sales: Sequence[Sale], stocks: Collection[EventStock]) -> None:
        """See the port. One statement: each round trip would keep the stock locked longer."""
        placed = [sale.placed for sale in sales]
        bookings = [event.booking for event in placed]
        moved = {stock.event.id: stock for stock in stocks if stock.moves}
        events = {event_id: stock.event for event_id, stock in moved.items()}
        try:
            rows = await self._connection.fetch(
                QUERIES["add_sales"],
                bookings[0].created_at,
                *key_columns(sales),
                *booking_columns(bookings),
                *item_columns(bookings),
                *ticket_columns(bookings),
                *outbox_columns(placed, events, [sale.trace for sale in sales]),
                *move_columns(moved.values()),
            )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "idempotency_keys_pkey":
                raise KeyTaken from error
            raise
        except asyncpg.LockNotAvailableError as error:
            # The stock is locked, ids are new: a single row in the way is a key that another
            # transaction has inserted. Else it is a whole table that somebody alters.
            if KEYS_TABLE in (error.context or ""):
                raise RequestInProgress from error
            raise
        except asyncpg.CheckViolationError as error:
            raise _meaning(error) from error
        self.recorded = True
        self._touch(moved, rows)

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
            [booking.expires_at for booking in bookings],
            [booking.extended for booking in bookings],
        )
        confirmed = [e.booking for e in happened if isinstance(e, BookingConfirmed)]
        if confirmed:
            await self._connection.execute(QUERIES["add_tickets"], *ticket_columns(confirmed))
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
            event.max_per_buyer,
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
            [kind.max_per_buyer for kind in kinds],
        )
        await self._connection.execute(
            QUERIES["save_resync_after"], stock.event.id, stock.resync_after
        )
        self._touch({stock.event.id: stock}, rows)

    async def finish_closing(self, event_id: UUID) -> None:
        """See the port."""
        await self._connection.execute(QUERIES["finish_closing"], event_id)

    async def record_once(self, message_id: UUID) -> bool:
        """See the port."""
        return await record_once(self._connection, SCHEMA, CONSUMER, message_id)

    async def _load_bookings(self, query: str, *arguments: object) -> list[Booking]:
        rows = await self._connection.fetch(QUERIES[query], *arguments)
        return await with_lines(self._connection, rows)

    async def _lock(self, event_id: UUID, wanted: list[UUID] | None) -> set[UUID]:
        rows = await self._connection.fetch(QUERIES["lock_inventory"], event_id, wanted)
        return {row["ticket_type_id"] for row in rows}

    async def _record(self, happened: Sequence[BookingEvent], stock: EventStock) -> None:
        stocks = {stock.event.id: stock}
        await self._connection.execute(
            QUERIES["add_events"], *outbox_columns(happened, {stock.event.id: stock.event})
        )
        self.recorded = True
        if not stock.moves:
            return
        try:
            rows = await self._connection.fetch(QUERIES["move_stock"], *move_columns([stock]))
        except asyncpg.CheckViolationError as error:
            raise _meaning(error) from error
        self._touch(stocks, rows)

    def _touch(self, stocks: Mapping[UUID, EventStock], rows: Sequence[Row]) -> None:
        """Take over the counts as the database has them."""
        for row in rows:
            kind = stocks[row["event_id"]].ticket_types[row["ticket_type_id"]]
            kind.held, kind.sold = row["held"], row["sold"]
            kind.stock_version = row["stock_version"]
            was = self._left.get(kind.id)
            if was is not None and (was == 0) != (kind.available == 0):
                self.turned.append(kind)
        for stock in stocks.values():
            stock.moves.clear()
        self.touched += stocks.values()

    def _begin(self, stock: EventStock) -> EventStock:
        for kind in stock.ticket_types.values():
            self._left[kind.id] = kind.available
        return stock


async def with_lines(connection: Connection | asyncpg.Pool, rows: Sequence[Row]) -> list[Booking]:
    """Read the lines and tickets of booking rows."""
    if not rows:
        return []
    wanted = [row["event_id"] for row in rows], [row["id"] for row in rows]
    items = await connection.fetch(QUERIES["items"], *wanted)
    tickets = await connection.fetch(QUERIES["tickets"], *wanted)
    return bookings_of(rows, items, tickets)


def _covers(locked: set[UUID], stock: EventStock, wanted: Collection[UUID] | None) -> bool:
    """Tell whether all that is wanted (None for all) is locked.

    A ticket type that was added between locking and reading is not, nor are the others
    when the event was given a limit per buyer just then: go back for them.
    """
    if stock.event.max_per_buyer:
        wanted = None
    known = stock.ticket_types.keys()
    return (known if wanted is None else known & set(wanted)) <= locked


def key_arrays(keys: Collection[RequestKey]) -> tuple[list[UUID], list[str]]:
    """Users and keys, as two columns."""
    return [user for user, _ in keys], [key for _, key in keys]


def _meaning(error: asyncpg.CheckViolationError) -> Exception:
    """Return what a violated constraint means to the domain."""
    return SoldOut() if error.constraint_name == "inventory_never_oversold" else error
