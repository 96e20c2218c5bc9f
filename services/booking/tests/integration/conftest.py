"""A booking service over a real PostgreSQL, with a catalog and a clock that the test holds."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from booking.adapters.availability import NoAvailability
from booking.adapters.postgres.bookings import PostgresBookings
from booking.adapters.ticket_codes import TicketSigner
from booking.application.commands.apply_event import apply_event
from booking.application.commands.create_bookings import create_bookings_of_event
from booking.application.booking_context import BookingContext, BookingResult, CreatedBooking
from booking.bootstrap import booking_context
from goticket_kernel.actor import Actor
from booking.domain.booking import Booking
from booking.domain.event import CatalogEvent, Event, EventStatus, TicketTypeOffer
from booking.domain.booking_creation import CreateBookingCommand, CommandLine
from goticket_platform.ids import new_id
from goticket_platform.messaging.outbox import OutboxNotifier
from goticket_platform.postgres import open_pool
from goticket_testing.databases import DatabaseFactory

START = datetime(2030, 6, 1, 20, 0, tzinfo=UTC)
HOLD = timedelta(minutes=10)
SEED = bytes(range(32))


@dataclass
class ManualClock:
    """Shows the time the test sets."""

    time: datetime = START - timedelta(days=30)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, by: timedelta) -> None:
        self.time += by


@dataclass
class ScriptedCatalog:
    """Knows the events the test gives it, and counts how often it is asked."""

    events: dict[UUID, CatalogEvent] = field(default_factory=dict)
    asked: int = 0

    async def get_events(self, event_ids: Collection[UUID]) -> list[CatalogEvent]:
        self.asked += 1
        return [self.events[event_id] for event_id in event_ids if event_id in self.events]


class BookingSystem:
    """What tests do with a booking service."""

    def __init__(self, dsn: str, pool: asyncpg.Pool, bookings: PostgresBookings) -> None:
        self.dsn = dsn
        self.pool = pool
        self.bookings = bookings
        self.clock = ManualClock()
        self.catalog = ScriptedCatalog()
        self.signer = TicketSigner(SEED)
        self.context = self.new_context(bookings)

    def new_context(self, bookings: PostgresBookings) -> BookingContext:
        """What one replica has: its own pool, its own idea of what is running."""
        return replace(booking_context(bookings, self.catalog, self.signer, HOLD), now=self.clock)

    def add_to_catalog(
        self,
        *capacities: int,
        status: EventStatus = EventStatus.PUBLISHED,
        max_per_booking: int = 10,
        price: int = 2500,
    ) -> CatalogEvent:
        """Let the catalog have an event with a ticket type for each capacity."""
        event = Event(
            id=new_id(),
            organizer_id=new_id(),
            name="Metallica Live",
            location="Warsaw",
            timezone="Europe/Warsaw",
            starts_at=START,
            ends_at=START + timedelta(hours=3),
            currency="EUR",
            status=status,
            version=1,
        )
        offers = tuple(
            TicketTypeOffer(new_id(), f"Type {number}", price, capacity, max_per_booking)
            for number, capacity in enumerate(capacities)
        )
        self.catalog.events[event.id] = CatalogEvent(event, offers)
        return self.catalog.events[event.id]

    async def open_event(self, *capacities: int, max_per_booking: int = 10) -> CatalogEvent:
        """Let an event be on sale here."""
        catalog = self.add_to_catalog(*capacities, max_per_booking=max_per_booking)
        await apply_event(catalog, bookings=self.bookings)
        return catalog

    async def change(self, catalog: CatalogEvent) -> None:
        """Let the catalog and booking have a newer version of an event."""
        self.catalog.events[catalog.event.id] = catalog
        await apply_event(catalog, bookings=self.bookings)

    async def ask(
        self, event: CatalogEvent, *requests: CreateBookingCommand, context: BookingContext | None = None
    ) -> list[BookingResult]:
        """Ask for tickets, all in one batch."""
        return await create_bookings_of_event(event.event.id, requests, context or self.context)

    async def book(self, event: CatalogEvent, request: CreateBookingCommand) -> Booking:
        """Ask for tickets and get them."""
        [result] = await self.ask(event, request)
        assert isinstance(result, CreatedBooking), result
        return result.booking

    async def counts(self, event: CatalogEvent) -> list[tuple[int, int]]:
        """Held and sold of each ticket type, in order."""
        rows = await self.pool.fetch(
            "SELECT held, sold FROM booking.inventory WHERE event_id = $1 ORDER BY position",
            event.event.id,
        )
        return [(row["held"], row["sold"]) for row in rows]

    async def outbox(self, kind: str) -> int:
        """How many events of a kind wait to be published."""
        count: int = await self.pool.fetchval(
            "SELECT count(*) FROM booking.outbox WHERE type = $1",
            f"goticket.booking.booking.{kind}.v1",
        )
        return count

    async def rows(self) -> dict[str, int]:
        """How many rows each table that a booking writes has."""
        tables = ("bookings", "booking_items", "tickets", "idempotency_keys", "outbox")
        return {
            table: await self.pool.fetchval(f"SELECT count(*) FROM booking.{table}")  # noqa: S608
            for table in tables
        }

    async def assert_consistent(self) -> None:
        """Fail unless stock, bookings, tickets and events agree."""
        problems = await self.pool.fetch(
            """
            SELECT i.ticket_type_id, i.held, i.sold, i.capacity, t.held AS held_in_bookings,
                   t.sold AS sold_in_bookings, t.tickets
            FROM booking.inventory AS i
            CROSS JOIN LATERAL (
                SELECT
                    coalesce(sum(bi.quantity) FILTER (WHERE b.status = 'held'), 0) AS held,
                    coalesce(sum(bi.quantity) FILTER (WHERE b.status = 'confirmed'), 0) AS sold,
                    (SELECT count(*) FROM booking.tickets AS k
                     WHERE k.event_id = i.event_id AND k.ticket_type_id = i.ticket_type_id
                       AND k.status = 'valid') AS tickets
                FROM booking.booking_items AS bi
                JOIN booking.bookings AS b ON b.event_id = bi.event_id AND b.id = bi.booking_id
                WHERE bi.event_id = i.event_id AND bi.ticket_type_id = i.ticket_type_id
            ) AS t
            WHERE i.held <> t.held OR i.sold <> t.sold OR i.sold <> t.tickets
               OR i.held + i.sold > i.capacity
            """
        )
        assert [dict(row) for row in problems] == []
        unannounced = await self.pool.fetchval(
            """
            SELECT count(*) FROM booking.bookings AS b
            WHERE b.confirmed_at IS NOT NULL AND 1 <> (
                SELECT count(*) FROM booking.outbox AS o
                WHERE o.aggregate_id = b.id AND o.type = 'goticket.booking.booking.confirmed.v1')
            """
        )
        assert unannounced == 0


def user(number: int, *roles: str) -> Actor:
    return Actor(
        UUID(int=number), f"buyer{number}@example.com", f"Buyer {number}", frozenset(roles)
    )


def command(
    quantity: int = 1,
    *,
    buyer: Actor | None = None,
    hold: bool = False,
    key: str | None = None,
    lines: Sequence[tuple[UUID, int]] = (),
) -> CreateBookingCommand:
    """A request for tickets: of the only type, or `lines` of type and quantity."""
    wanted = tuple(CommandLine(type_id, number) for type_id, number in lines) or (CommandLine(None, quantity),)
    return CreateBookingCommand(buyer or user(1), wanted, hold, key)


@pytest.fixture(name="user")
def _person() -> object:
    return user


@pytest.fixture(name="command")
def _wish() -> object:
    return command


@pytest.fixture
async def dsn(database: DatabaseFactory) -> str:
    return await database("booking")


@pytest.fixture
async def open_replica(dsn: str) -> AsyncIterator["OpenReplica"]:
    """Opens further replicas: pools of their own on the same database."""
    opener = OpenReplica(dsn)
    yield opener
    await opener.close()


@dataclass
class OpenReplica:
    dsn: str
    _open: list[tuple[OutboxNotifier, asyncpg.Pool]] = field(default_factory=list)

    async def __call__(
        self,
        size: int = 10,
        lock_timeout_ms: int = 20_000,
    ) -> tuple[PostgresBookings, asyncpg.Pool]:
        pool = await open_pool(
            self.dsn, max_size=size, command_timeout=60, lock_timeout_ms=lock_timeout_ms
        )
        notifier = OutboxNotifier(pool, "booking")
        self._open.append((notifier, pool))
        return PostgresBookings(pool, notifier, NoAvailability()), pool

    async def close(self) -> None:
        for notifier, pool in self._open:
            await notifier.close()
            await asyncio.wait_for(pool.close(), 10)


@pytest.fixture
async def system(dsn: str, open_replica: OpenReplica) -> BookingSystem:
    bookings, pool = await open_replica()
    return BookingSystem(dsn, pool, bookings)
