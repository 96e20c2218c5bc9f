"""A booking service over a real PostgreSQL, with a catalog and a clock that the test sets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from booking.adapters.postgres.bookings import PostgresBookings
from booking.adapters.ticket_codes import TicketSigner
from booking.application.booking_context import BookingContext, BookingResult, CreatedBooking
from booking.application.commands.apply_event import apply_event
from booking.application.commands.create_bookings import create_bookings_of_event
from booking.application.commands.expire_holds import expire_holds
from booking.bootstrap import booking_context
from booking.domain.booking import Booking
from booking.domain.booking_creation import CommandLine, CreateBookingCommand
from booking.domain.event import CatalogEvent, Event, EventStatus, TicketTypeOffer
from booking.domain.inventory import EventInventory, TicketTypeInventory
from goticket_kernel.actor import Actor
from goticket_platform.ids import new_id
from goticket_platform.messaging.outbox import OutboxNotifier
from goticket_platform.postgres import open_pool
from goticket_testing.databases import DatabaseFactory

START = datetime(2030, 6, 1, 20, 0, tzinfo=UTC)
HOLD = timedelta(minutes=10)
SEED = bytes(range(32))
NO_EVENT = UUID(int=0)


@dataclass
class ManualClock:
    """Returns the time that the test sets."""

    time: datetime = START - timedelta(days=30)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, by: timedelta) -> None:
        self.time += by


@dataclass
class ScriptedCatalog:
    """Has the events that the test adds, and counts calls."""

    events: dict[UUID, CatalogEvent] = field(default_factory=dict)
    calls: int = 0

    async def get_events(self, event_ids: Collection[UUID]) -> list[CatalogEvent]:
        self.calls += 1
        return [self.events[event_id] for event_id in event_ids if event_id in self.events]


class BookingSystem:
    """The operations that tests use."""

    def __init__(self, dsn: str, pool: asyncpg.Pool, bookings: PostgresBookings) -> None:
        self.dsn = dsn
        self.pool = pool
        self.bookings = bookings
        self.clock = ManualClock()
        self.catalog = ScriptedCatalog()
        self.signer = TicketSigner(SEED)
        self.context = self.new_context(bookings)

    def new_context(self, bookings: PostgresBookings) -> BookingContext:
        """The context of one replica: its own pool, its own keys in flight."""
        return replace(booking_context(bookings, self.catalog, self.signer, HOLD), now=self.clock)

    def add_to_catalog(
        self,
        *capacities: int,
        status: EventStatus = EventStatus.PUBLISHED,
        max_per_booking: int = 10,
        price: int = 2500,
    ) -> CatalogEvent:
        """Add an event to the catalog, with a ticket type for each capacity."""
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
        """Put an event on sale in catalog and booking."""
        catalog = self.add_to_catalog(*capacities, max_per_booking=max_per_booking)
        await apply_event(catalog, bookings=self.bookings)
        return catalog

    async def update_event(self, catalog: CatalogEvent) -> None:
        """Store a newer version of an event in catalog and booking."""
        self.catalog.events[catalog.event.id] = catalog
        await apply_event(catalog, bookings=self.bookings)

    async def create(
        self,
        event: CatalogEvent,
        *commands: CreateBookingCommand,
        context: BookingContext | None = None,
    ) -> list[BookingResult]:
        """Run commands for one event in one transaction."""
        return await create_bookings_of_event(
            commands_for(event, *commands), context or self.context
        )

    async def book(self, event: CatalogEvent, command: CreateBookingCommand) -> Booking:
        """Run a command that has to be granted."""
        [result] = await self.create(event, command)
        assert isinstance(result, CreatedBooking), result
        return result.booking

    async def expire_holds(
        self,
        event: CatalogEvent,
        *,
        bookings: PostgresBookings | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> int:
        """Expire the due holds of an event; return how many."""
        store, clock = bookings or self.bookings, now or self.clock
        due = await store.due_holds(clock())
        ids = [hold.booking_id for hold in due if hold.event_id == event.event.id]
        return await expire_holds(event.event.id, ids, bookings=store, now=clock)

    async def counts(self, event: CatalogEvent) -> list[tuple[int, int]]:
        """Held and sold of each ticket type, in order."""
        rows = await self.pool.fetch(
            "SELECT held, sold FROM booking.inventory WHERE event_id = $1 ORDER BY position",
            event.event.id,
        )
        return [(row["held"], row["sold"]) for row in rows]

    async def outbox_count(self, kind: str) -> int:
        """Number of messages of a kind that are not published yet."""
        count: int = await self.pool.fetchval(
            "SELECT count(*) FROM booking.outbox WHERE type = $1",
            f"goticket.booking.booking.{kind}.v1",
        )
        return count

    async def row_counts(self) -> dict[str, int]:
        """Number of rows of each table that a booking writes."""
        tables = ("bookings", "booking_items", "tickets", "idempotency_keys", "outbox")
        return {
            table: await self.pool.fetchval(f"SELECT count(*) FROM booking.{table}")  # noqa: S608
            for table in tables
        }

    async def assert_consistent(self) -> None:
        """Fail unless inventory, bookings, tickets and messages agree."""
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
        unpublished = await self.pool.fetchval(
            """
            SELECT count(*) FROM booking.bookings AS b
            WHERE b.confirmed_at IS NOT NULL AND 1 <> (
                SELECT count(*) FROM booking.outbox AS o
                WHERE o.aggregate_id = b.id AND o.type = 'goticket.booking.booking.confirmed.v1')
            """
        )
        assert unpublished == 0


def user(number: int, *roles: str) -> Actor:
    return Actor(
        UUID(int=number), frozenset(roles), f"buyer{number}@example.com", f"Buyer {number}"
    )


def command(
    quantity: int = 1,
    *,
    buyer: Actor | None = None,
    hold: bool = False,
    key: str | None = None,
    lines: Sequence[tuple[UUID, int]] = (),
) -> CreateBookingCommand:
    """A command for tickets of the only type, or for `lines` of type and quantity.

    Its event is set later, by `BookingSystem.create` or `commands_for`.
    """
    wanted = tuple(CommandLine(type_id, number) for type_id, number in lines)
    return CreateBookingCommand(
        NO_EVENT, buyer or user(1), wanted or (CommandLine(None, quantity),), hold, key
    )


def commands_for(
    event: CatalogEvent, *commands: CreateBookingCommand
) -> list[CreateBookingCommand]:
    """The commands, for this event."""
    return [replace(each, event_id=event.event.id) for each in commands]


CommandsFor = Callable[..., list[CreateBookingCommand]]


class SilentAvailability:
    """Publishes nothing: for tests without Redis."""

    async def publish(
        self,
        inventories: Sequence[EventInventory],
        transitions: Sequence[TicketTypeInventory] = (),
    ) -> None:
        """Do nothing."""


@pytest.fixture(name="commands_for")
def _commands_for() -> CommandsFor:
    return commands_for


@pytest.fixture(name="silent_availability")
def _silent_availability() -> SilentAvailability:
    return SilentAvailability()


@pytest.fixture(name="user")
def _user() -> object:
    return user


@pytest.fixture(name="command")
def _command() -> object:
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
        return PostgresBookings(pool, notifier, SilentAvailability()), pool

    async def close(self) -> None:
        for notifier, pool in self._open:
            await notifier.close()
            await asyncio.wait_for(pool.close(), 10)


@pytest.fixture
async def system(dsn: str, open_replica: OpenReplica) -> BookingSystem:
    bookings, pool = await open_replica()
    return BookingSystem(dsn, pool, bookings)
