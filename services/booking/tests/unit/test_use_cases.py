"""The use cases over a small in-memory store: who may, what is retried, what is told."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from booking.application.commands.cancel_booking import cancel_booking
from booking.application.commands.confirm_booking import confirm_booking
from booking.application.queries.get_booking import get_booking
from booking.application.queries.get_ticket import get_ticket
from booking.application.queries.list_bookings import list_bookings
from booking.application.commands.create_bookings import create_bookings_of_event
from booking.application.booking_context import BookingContext, BookingResult, CreatedBooking
from booking.application.ports import (
    Answer,
    BookingKey,
    BookingOfEvent,
    BuyerOfEvent,
    KeyTaken,
    OpenSale,
    RequestKey,
    Sale,
    TicketOfBooking,
    TypesOfEvents,
)
from booking.application.commands.provision_event import ProvisionEvent
from booking.application.in_flight_keys import InFlightKeys
from goticket_kernel.actor import Actor
from booking.domain.booking import (
    Booking,
    BookingCancelled,
    BookingChange,
    BookingStatus,
    CancellationReason,
    IssuedTicket,
)
from booking.domain.errors import (
    BookingNotFound,
    Busy,
    CatalogUnavailable,
    DomainError,
    Forbidden,
    IdempotencyKeyReused,
    RequestInProgress,
    TicketNotFound,
)
from booking.domain.event import CatalogEvent, Event, EventStatus
from booking.domain.buyer_usage import BuyerUsage
from booking.domain.booking_creation import CreateBookingCommand, CommandLine
from booking.domain.inventory import EventInventory, TicketTypeInventory, inventory_of

NOW = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
ORGANIZER_ID = UUID(int=7)
EVENT = Event(
    UUID(int=2),
    ORGANIZER_ID,
    "E",
    "",
    "UTC",
    NOW + timedelta(days=1),
    NOW + timedelta(days=2),
    "EUR",
    EventStatus.PUBLISHED,
    version=1,
)


def user(number: int, *roles: str) -> Actor:
    return Actor(UUID(int=number), f"p{number}@example.com", f"P{number}", frozenset(roles))


BUYER, STRANGER, ADMIN = user(1), user(5), user(6, "admin")
ORGANIZER = user(7, "organizer")


def command(quantity: int = 1, *, hold: bool = False, key: str | None = None) -> CreateBookingCommand:
    return CreateBookingCommand(BUYER, (CommandLine(None, quantity),), hold, key)


@dataclass
class Memory:
    """One event's bookings; commits by replacing, fails as the test has scripted."""

    stock: EventInventory = field(
        default_factory=lambda: EventInventory(
            EVENT, {UUID(int=9): TicketTypeInventory(UUID(int=9), 0, "T", 100, 10, 10)}
        )
    )
    bookings: dict[UUID, Booking] = field(default_factory=dict)
    answers: dict[RequestKey, Answer] = field(default_factory=dict)
    happened: list[BookingChange] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    """Raised by the next transactions that add bookings, one each."""
    stuck_keys: set[str] = field(default_factory=set)
    contended: set[UUID] = field(default_factory=set)
    looks: int = 0
    """How often somebody looked without locks."""
    on_failure: dict[RequestKey, Answer] = field(default_factory=dict)
    """What another transaction has committed by then."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["MemoryTransaction"]:
        yield MemoryTransaction(self)

    async def find_booking(self, booking_id: UUID) -> BookingOfEvent | None:
        booking = self.bookings.get(booking_id)
        return BookingOfEvent(booking, EVENT) if booking else None

    async def read_snapshot(
        self, event_ids: Collection[UUID], keys: Collection[RequestKey]
    ) -> tuple[dict[UUID, EventInventory], set[RequestKey]]:
        self.looks += 1
        stocks = {EVENT.id: self.stock} if EVENT.id in event_ids else {}
        return stocks, {key for key in keys if key in self.answers}

    async def find_event(self, event_id: UUID) -> Event | None:
        return EVENT if event_id == EVENT.id else None

    async def list_bookings(
        self,
        *,
        user_id: UUID | None,
        event_id: UUID | None,
        status: BookingStatus | None,
        before: UUID | None,
        limit: int,
    ) -> list[BookingOfEvent]:
        return [
            BookingOfEvent(booking, EVENT)
            for booking in self.bookings.values()
            if user_id in (None, booking.user_id)
        ]

    async def find_ticket(self, ticket_id: UUID) -> TicketOfBooking | None:
        for booking in self.bookings.values():
            for ticket in booking.tickets:
                if ticket.id == ticket_id:
                    return TicketOfBooking(ticket, booking.id, booking.user_id, "T", "P1", EVENT)
        return None

    async def list_tickets(
        self, user_id: UUID, before: UUID | None, limit: int
    ) -> list[TicketOfBooking]:
        raise NotImplementedError


class MemoryTransaction:
    """What placing, confirming and cancelling need of a transaction."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def lock_booking(self, event_id: UUID, booking_id: UUID) -> Booking:
        return self._memory.bookings[booking_id]

    async def lock_stock(
        self, event_id: UUID, ticket_type_ids: Collection[UUID] | None
    ) -> EventInventory | None:
        kinds = {kind.id: replace(kind) for kind in self._memory.stock.ticket_types.values()}
        return EventInventory(EVENT, kinds) if event_id == EVENT.id else None

    async def open_sale(self, wanted: TypesOfEvents, keys: Collection[RequestKey]) -> OpenSale:
        known = {key: self._memory.answers[key] for key in keys if key in self._memory.answers}
        contended = self._memory.contended & wanted.keys() if len(wanted) > 1 else set()
        stocks = {}
        for event_id in wanted.keys() - contended:
            if stock := await self.lock_stock(event_id, None):
                stocks[event_id] = stock
        return OpenSale(stocks, known, contended)

    async def find_bookings(self, wanted: Collection[BookingKey]) -> dict[UUID, Booking]:
        known = self._memory.bookings
        return {booking_id: known[booking_id] for _, booking_id in wanted if booking_id in known}

    async def find_taken(
        self, buyers: Collection[BuyerOfEvent]
    ) -> defaultdict[BuyerOfEvent, BuyerUsage]:
        raise NotImplementedError

    async def add(self, sales: Sequence[Sale], stocks: Collection[EventInventory]) -> None:
        if self._memory.failures:
            self._memory.answers |= self._memory.on_failure
            raise self._memory.failures.pop(0)
        if self._memory.stuck_keys & {sale.key for sale in sales}:
            raise RequestInProgress
        [stock] = [stock for stock in stocks if stock.changes]
        await self.save([sale.placed for sale in sales], stock)

    async def save(self, happened: Sequence[BookingChange], stock: EventInventory) -> None:
        self._memory.bookings |= {event.booking.id: event.booking for event in happened}
        self._memory.happened += happened
        self._memory.stock = stock

    async def claim_due_holds(self, event_id: UUID, now: datetime, limit: int) -> list[Booking]:
        raise NotImplementedError

    async def claim_open_bookings(self, event_id: UUID, after: UUID, limit: int) -> list[Booking]:
        raise NotImplementedError

    async def lock_event(self, event_id: UUID) -> None:
        raise NotImplementedError

    async def follow_event(self, event: Event, read_at: datetime | None) -> bool:
        raise NotImplementedError

    async def save_ticket_types(self, stock: EventInventory) -> None:
        raise NotImplementedError

    async def finish_closing(self, event_id: UUID) -> None:
        raise NotImplementedError

    async def record_once(self, message_id: UUID) -> bool:
        raise NotImplementedError


class DeadCatalog:
    """Does not answer."""

    async def get_events(self, event_ids: Collection[UUID]) -> list[CatalogEvent]:
        raise CatalogUnavailable


def issue(_event_id: UUID) -> IssuedTicket:
    return IssuedTicket(uuid4(), "code")


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def context(memory: Memory) -> BookingContext:
    return BookingContext(
        bookings=memory,
        provision=ProvisionEvent(DeadCatalog(), memory),
        running=InFlightKeys(),
        issue=issue,
        new_id=uuid4,
        now=lambda: NOW,
        hold_for=timedelta(minutes=10),
    )


def told(results: Sequence[BookingResult]) -> list[str]:
    return [result.code if isinstance(result, DomainError) else "placed" for result in results]


async def book(context: BookingContext, *, hold: bool = False) -> Booking:
    [result] = await create_bookings_of_event(EVENT.id, [command(hold=hold)], context)
    assert isinstance(result, CreatedBooking)
    return result.booking


async def test_a_key_that_was_taken_meanwhile_is_looked_at_again(
    memory: Memory, context: BookingContext
) -> None:
    memory.failures = [KeyTaken()]
    memory.on_failure = {(BUYER.user_id, "k"): Answer(b"another request", None)}
    reused, placed = await create_bookings_of_event(EVENT.id, [command(key="k"), command()], context)
    assert isinstance(reused, IdempotencyKeyReused)
    assert isinstance(placed, CreatedBooking)
    assert len(memory.bookings) == 1


async def test_a_stuck_key_fails_no_neighbour(memory: Memory, context: BookingContext) -> None:
    memory.stuck_keys = {"stuck"}
    results = await create_bookings_of_event(
        EVENT.id, [command(key="a"), command(key="stuck"), command(11), command()], context
    )
    assert told(results) == [
        "placed",
        "request_in_progress",
        "max_per_booking_exceeded",
        "placed",
    ]


async def test_a_busy_event_is_told_to_each_request(memory: Memory, context: BookingContext) -> None:
    memory.failures = [Busy()]
    results = await create_bookings_of_event(EVENT.id, [command(key="a"), command(0), command()], context)
    assert told(results) == ["busy", "validation_failed", "busy"]


async def test_an_unknown_event_with_a_dead_catalog_is_unavailable(context: BookingContext) -> None:
    results = await create_bookings_of_event(UUID(int=404), [command(), command(0)], context)
    assert told(results) == ["unavailable", "validation_failed"]
    assert isinstance(results[0], CatalogUnavailable)


async def test_malformed_requests_alone_open_no_transaction(context: BookingContext) -> None:
    results = await create_bookings_of_event(UUID(int=404), [command(0), command(-1)], context)
    assert told(results) == ["validation_failed"] * 2
    assert await create_bookings_of_event(UUID(int=404), [], context) == []


async def test_only_the_buyer_and_admins_confirm(memory: Memory, context: BookingContext) -> None:
    hold = await book(context, hold=True)
    for actor in (STRANGER, ORGANIZER):
        with pytest.raises(Forbidden):
            await confirm_booking(hold.id, actor, bookings=memory, issue=issue, now=context.now)
    found = await confirm_booking(hold.id, ADMIN, bookings=memory, issue=issue, now=context.now)
    assert found.booking.status is BookingStatus.CONFIRMED


@pytest.mark.parametrize(
    ("actor", "reason"),
    [
        (BUYER, CancellationReason.BY_BUYER),
        (ORGANIZER, CancellationReason.BY_ORGANIZER),
        (ADMIN, CancellationReason.BY_ORGANIZER),
    ],
)
async def test_a_cancellation_says_who_wanted_it(
    actor: Actor, reason: CancellationReason, memory: Memory, context: BookingContext
) -> None:
    booking = await book(context)
    await cancel_booking(booking.id, actor, bookings=memory, now=context.now)
    last = memory.happened[-1]
    assert isinstance(last, BookingCancelled)
    assert last.reason is reason


async def test_reading_is_for_those_concerned(memory: Memory, context: BookingContext) -> None:
    booking = await book(context)
    ticket_id = booking.tickets[0].id
    for actor in (BUYER, ORGANIZER, ADMIN):
        assert (await get_booking(booking.id, actor, bookings=memory)).booking == booking
        assert (await get_ticket(ticket_id, actor, queries=memory)).ticket.id == ticket_id
    for refused in (
        get_booking(booking.id, STRANGER, bookings=memory),
        get_ticket(ticket_id, STRANGER, queries=memory),
        cancel_booking(booking.id, STRANGER, bookings=memory, now=context.now),
    ):
        with pytest.raises(Forbidden):
            await refused
    with pytest.raises(BookingNotFound):
        await get_booking(uuid4(), ADMIN, bookings=memory)
    with pytest.raises(TicketNotFound):
        await get_ticket(uuid4(), ADMIN, queries=memory)


@pytest.mark.parametrize(
    ("actor", "event_id", "count"),
    [
        (BUYER, None, 1),
        (BUYER, EVENT.id, 1),
        (ADMIN, None, 0),
        (ADMIN, EVENT.id, 1),
        (ORGANIZER, EVENT.id, 1),
        (STRANGER, EVENT.id, 0),
        (ADMIN, UUID(int=404), 0),
    ],
)
async def test_lists_are_of_ones_own_bookings_or_ones_own_event(
    actor: Actor, event_id: UUID | None, count: int, memory: Memory, context: BookingContext
) -> None:
    await book(context)
    page = await list_bookings(
        actor, event_id=event_id, status=None, before=None, limit=20, queries=memory
    )
    assert len(page) == count
