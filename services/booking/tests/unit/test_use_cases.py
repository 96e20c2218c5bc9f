"""The use cases over a small in-store store: permissions, retries and errors."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from booking.application.booking_context import BookingContext, BookingResult, CreatedBooking
from booking.application.commands.cancel_booking import cancel_booking
from booking.application.commands.confirm_booking import confirm_booking
from booking.application.commands.create_bookings import create_bookings_of_event
from booking.application.commands.extend_hold import extend_hold
from booking.application.commands.prepare_booking import fingerprint
from booking.application.commands.provision_event import ProvisionEvent
from booking.application.in_flight_keys import InFlightKeys
from booking.application.ports import (
    BookingKey,
    BookingOfEvent,
    BuyerOfEvent,
    EventRows,
    IdempotencyRecord,
    Inbox,
    KeyTaken,
    LockedSnapshot,
    NewBooking,
    RequestKey,
    Snapshot,
    TicketOfBooking,
    TicketPageQuery,
)
from booking.application.queries.get_booking_details import get_booking_details
from booking.application.queries.get_bookings import get_bookings
from booking.application.queries.get_tickets import get_tickets
from booking.application.queries.list_bookings import list_bookings
from booking.domain.booking import (
    Booking,
    BookingCancelled,
    BookingChange,
    BookingStatus,
    CancellationReason,
    IssuedTicket,
)
from booking.domain.booking_creation import CommandLine, CreateBookingCommand
from booking.domain.buyer_usage import BuyerUsage
from booking.domain.errors import (
    BookingNotFound,
    Busy,
    CatalogUnavailable,
    EventOver,
    IdempotencyKeyReused,
    RequestInProgress,
    TicketNotFound,
)
from booking.domain.event import CatalogEvent, Event, EventStatus
from booking.domain.inventory import EventInventory, TicketTypeInventory, inventory_of
from goticket_kernel.actor import Actor
from goticket_kernel.errors import DomainError, Forbidden

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
    return Actor(UUID(int=number), frozenset(roles), f"p{number}@example.com", f"P{number}")


BUYER, STRANGER, ADMIN = user(1), user(5), user(6, "admin")
ORGANIZER = user(7, "organizer")
DEMOTED = user(7)
"""The event's organizer, whose token no longer has the role."""


def command(
    quantity: int = 1,
    *,
    hold: bool = False,
    key: str | None = None,
    event_id: UUID = EVENT.id,
) -> CreateBookingCommand:
    return CreateBookingCommand(event_id, BUYER, (CommandLine(None, quantity),), hold, key)


@dataclass
class MemoryStore:
    """One event's bookings; commits by replacing, fails as the test has scripted."""

    inventory: EventInventory = field(
        default_factory=lambda: inventory_of(
            EVENT, [TicketTypeInventory(UUID(int=9), 0, "T", 100, 10, 10)]
        )
    )
    bookings: dict[UUID, Booking] = field(default_factory=dict)
    records: dict[RequestKey, IdempotencyRecord] = field(default_factory=dict)
    changes: list[BookingChange] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    """Raised by the next transactions that add bookings, one each."""
    stuck_keys: set[str] = field(default_factory=set)
    records_on_failure: dict[RequestKey, IdempotencyRecord] = field(default_factory=dict)
    """What another transaction has committed when a failure is raised."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["MemoryTransaction"]:
        yield MemoryTransaction(self)

    async def find_booking(self, booking_id: UUID) -> BookingOfEvent | None:
        booking = self.bookings.get(booking_id)
        return BookingOfEvent(booking, EVENT) if booking else None

    async def read_snapshot(
        self, event_ids: Collection[UUID], keys: Collection[RequestKey]
    ) -> Snapshot:
        inventories = {EVENT.id: self.inventory} if EVENT.id in event_ids else {}
        return Snapshot(inventories, {key for key in keys if key in self.records})

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

    async def find_bookings(self, booking_ids: Collection[UUID]) -> list[BookingOfEvent]:
        known = self.bookings
        return [BookingOfEvent(known[each], EVENT) for each in booking_ids if each in known]

    async def find_tickets(self, ticket_ids: Collection[UUID]) -> list[TicketOfBooking]:
        return [
            TicketOfBooking(ticket, booking.id, booking.user_id, "T", "P1", EVENT)
            for booking in self.bookings.values()
            for ticket in booking.tickets
            if ticket.id in ticket_ids
        ]

    async def list_tickets(self, wanted: Sequence[TicketPageQuery]) -> list[list[TicketOfBooking]]:
        raise NotImplementedError

    async def find_details(self, wanted: Collection[BookingKey]) -> list[BookingOfEvent]:
        return [
            BookingOfEvent(self.bookings[booking_id], EVENT)
            for event_id, booking_id in wanted
            if event_id == EVENT.id and booking_id in self.bookings
        ]


class MemoryBookings:
    """Bookings in a transaction."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def lock(self, event_id: UUID, booking_id: UUID) -> Booking:
        return self._store.bookings[booking_id]

    async def find(self, wanted: Collection[BookingKey]) -> dict[UUID, Booking]:
        known = self._store.bookings
        return {booking_id: known[booking_id] for _, booking_id in wanted if booking_id in known}

    async def save(self, changes: Sequence[BookingChange], inventory: EventInventory) -> None:
        self._store.bookings |= {change.booking.id: change.booking for change in changes}
        self._store.changes += changes
        self._store.inventory = inventory

    async def claim_due_holds(
        self, event_id: UUID, booking_ids: Sequence[UUID], now: datetime
    ) -> list[Booking]:
        raise NotImplementedError

    async def claim_open(self, event_id: UUID, booking_ids: Sequence[UUID]) -> list[Booking]:
        raise NotImplementedError


class MemoryInventory:
    """Inventory in a transaction."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def lock(self, event_id: UUID) -> EventInventory | None:
        kinds = [replace(kind) for kind in self._store.inventory.ticket_types.values()]
        return inventory_of(EVENT, kinds) if event_id == EVENT.id else None

    async def save_ticket_types(self, inventory: EventInventory) -> None:
        raise NotImplementedError


class MemoryCreation:
    """Creation of bookings in a transaction."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def lock_snapshot(
        self, event_ids: Collection[UUID], keys: Collection[RequestKey]
    ) -> LockedSnapshot:
        records = {key: self._store.records[key] for key in keys if key in self._store.records}
        inventories = {}
        for event_id in event_ids:
            if inventory := await MemoryInventory(self._store).lock(event_id):
                inventories[event_id] = inventory
        return LockedSnapshot(inventories, records)

    async def find_buyer_usage(
        self, buyers: Collection[BuyerOfEvent]
    ) -> defaultdict[BuyerOfEvent, BuyerUsage]:
        raise NotImplementedError

    async def add(
        self, new_bookings: Sequence[NewBooking], inventories: Collection[EventInventory]
    ) -> None:
        if self._store.failures:
            self._store.records |= self._store.records_on_failure
            raise self._store.failures.pop(0)
        if self._store.stuck_keys & {new.idempotency_key for new in new_bookings}:
            raise RequestInProgress
        [inventory] = [each for each in inventories if each.changes]
        granted = [new.granted for new in new_bookings]
        await MemoryBookings(self._store).save(granted, inventory)


class MemoryTransaction:
    """The aggregates that creation, confirmation and cancellation use."""

    def __init__(self, store: MemoryStore) -> None:
        self.bookings = MemoryBookings(store)
        self.inventory = MemoryInventory(store)
        self.creation = MemoryCreation(store)

    @property
    def events(self) -> EventRows:
        raise NotImplementedError

    @property
    def inbox(self) -> Inbox:
        raise NotImplementedError


class UnavailableCatalog:
    """Fails every call."""

    async def get_events(self, event_ids: Collection[UUID]) -> list[CatalogEvent]:
        raise CatalogUnavailable


def issue(_event_id: UUID) -> IssuedTicket:
    return IssuedTicket(uuid4(), "code")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def context(store: MemoryStore) -> BookingContext:
    return BookingContext(
        bookings=store,
        provision=ProvisionEvent(UnavailableCatalog(), store),
        in_flight_keys=InFlightKeys(),
        issue=issue,
        new_id=uuid4,
        now=lambda: NOW,
        hold_for=timedelta(minutes=10),
        message_headers=dict,
    )


def codes(results: Sequence[BookingResult]) -> list[str]:
    return [result.code if isinstance(result, DomainError) else "created" for result in results]


async def book(context: BookingContext, *, hold: bool = False) -> Booking:
    [result] = await create_bookings_of_event([command(hold=hold)], context)
    assert isinstance(result, CreatedBooking)
    return result.booking


async def test_a_key_that_was_taken_meanwhile_is_read_again(
    store: MemoryStore, context: BookingContext
) -> None:
    store.failures = [KeyTaken()]
    store.records_on_failure = {(BUYER.user_id, "k"): IdempotencyRecord(b"another request", None)}
    reused, created = await create_bookings_of_event([command(key="k"), command()], context)
    assert isinstance(reused, IdempotencyKeyReused)
    assert isinstance(created, CreatedBooking)
    assert len(store.bookings) == 1


async def test_a_key_in_progress_fails_only_its_own_command(
    store: MemoryStore, context: BookingContext
) -> None:
    store.stuck_keys = {"stuck"}
    results = await create_bookings_of_event(
        [command(key="a"), command(key="stuck"), command(11), command()], context
    )
    assert codes(results) == [
        "created",
        "request_in_progress",
        "max_per_booking_exceeded",
        "created",
    ]


async def test_each_command_of_a_busy_event_gets_the_error(
    store: MemoryStore, context: BookingContext
) -> None:
    store.failures = [Busy()]
    results = await create_bookings_of_event([command(key="a"), command(0), command()], context)
    assert codes(results) == ["busy", "validation_failed", "busy"]


async def test_an_unknown_event_is_unavailable_while_the_catalog_is_down(
    context: BookingContext,
) -> None:
    results = await create_bookings_of_event(
        [command(event_id=UUID(int=404)), command(0, event_id=UUID(int=404))], context
    )
    assert codes(results) == ["unavailable", "validation_failed"]
    assert isinstance(results[0], CatalogUnavailable)


async def test_malformed_commands_open_no_transaction(context: BookingContext) -> None:
    results = await create_bookings_of_event([command(0), command(-1)], context)
    assert codes(results) == ["validation_failed"] * 2
    assert await create_bookings_of_event([], context) == []


async def test_only_the_buyer_and_admins_confirm(
    store: MemoryStore, context: BookingContext
) -> None:
    hold = await book(context, hold=True)
    for actor in (STRANGER, ORGANIZER, DEMOTED):
        with pytest.raises(Forbidden):
            await confirm_booking(hold.id, actor, bookings=store, issue=issue, now=context.now)
    found = await confirm_booking(hold.id, ADMIN, bookings=store, issue=issue, now=context.now)
    assert found.booking.status is BookingStatus.CONFIRMED
    assert [ticket.code for ticket in found.booking.tickets] == [""]


@pytest.mark.parametrize("late", [timedelta(microseconds=-1), timedelta(0)])
async def test_a_hold_can_be_confirmed_and_extended_until_the_event_ends(
    late: timedelta, store: MemoryStore, context: BookingContext
) -> None:
    moment = EVENT.ends_at + late
    late_context = replace(context, hold_for=EVENT.ends_at - NOW + timedelta(hours=1))
    extended, confirmed = [await book(late_context, hold=True) for _ in range(2)]

    async def change() -> None:
        await extend_hold(
            extended.id, BUYER, bookings=store, now=lambda: moment, by=timedelta(minutes=1)
        )
        await confirm_booking(confirmed.id, BUYER, bookings=store, issue=issue, now=lambda: moment)

    if late:
        await change()
        return
    with pytest.raises(EventOver):
        await change()
    with pytest.raises(EventOver):
        await confirm_booking(confirmed.id, BUYER, bookings=store, issue=issue, now=lambda: moment)
    assert store.bookings == {extended.id: extended, confirmed.id: confirmed}


async def test_a_confirmed_booking_can_be_confirmed_again_after_the_event(
    store: MemoryStore, context: BookingContext
) -> None:
    booking = await book(context)
    found = await confirm_booking(
        booking.id, BUYER, bookings=store, issue=issue, now=lambda: EVENT.ends_at
    )
    assert found.booking == booking


@pytest.mark.parametrize("hold", [False, True])
async def test_a_repeat_after_the_event_is_a_repeat_and_a_new_request_is_refused(
    hold: bool, store: MemoryStore, context: BookingContext
) -> None:
    [first] = await create_bookings_of_event([command(hold=hold, key="k")], context)
    assert isinstance(first, CreatedBooking)
    store.records[BUYER.user_id, "k"] = IdempotencyRecord(
        fingerprint(command(hold=hold)), first.booking
    )
    after = replace(context, now=lambda: EVENT.ends_at)
    repeat, new = await create_bookings_of_event(
        [command(hold=hold, key="k"), command(hold=hold)], after
    )
    assert repeat == replace(first, replayed=True)
    assert isinstance(new, EventOver)


@pytest.mark.parametrize(
    ("actor", "reason"),
    [
        (BUYER, CancellationReason.BY_BUYER),
        (ORGANIZER, CancellationReason.BY_ORGANIZER),
        (ADMIN, CancellationReason.BY_ORGANIZER),
        (DEMOTED, Forbidden),
    ],
)
async def test_a_cancellation_records_its_reason(
    actor: Actor,
    reason: CancellationReason | type[Forbidden],
    store: MemoryStore,
    context: BookingContext,
) -> None:
    booking = await book(context)
    if reason is Forbidden:
        with pytest.raises(Forbidden):
            await cancel_booking(booking.id, actor, bookings=store, now=context.now)
        return
    await cancel_booking(booking.id, actor, bookings=store, now=context.now)
    last = store.changes[-1]
    assert isinstance(last, BookingCancelled)
    assert last.reason is reason


async def test_only_buyer_organizer_and_admins_may_read_and_only_the_buyer_gets_codes(
    store: MemoryStore, context: BookingContext
) -> None:
    booking = await book(context)
    unknown, ticket_id = uuid4(), booking.tickets[0].id
    without_code = replace(booking.tickets[0], code="")
    actors = (BUYER, STRANGER, ORGANIZER, ADMIN)
    bookings = [(booking.id, actor) for actor in actors]
    *found, missing = await get_bookings([*bookings, (unknown, ADMIN)], queries=store)
    assert [getattr(each, "booking", type(each)) for each in found] == [
        booking,
        Forbidden,
        replace(booking, tickets=(without_code,)),
        replace(booking, tickets=(without_code,)),
    ]
    assert isinstance(missing, BookingNotFound)
    tickets = [(ticket_id, actor) for actor in actors]
    *printed, no_ticket = await get_tickets([*tickets, (unknown, ADMIN)], queries=store)
    assert [getattr(each, "ticket", type(each)) for each in printed] == [
        booking.tickets[0],
        Forbidden,
        without_code,
        without_code,
    ]
    assert isinstance(no_ticket, TicketNotFound)
    with pytest.raises(Forbidden):
        await cancel_booking(booking.id, STRANGER, bookings=store, now=context.now)


@pytest.mark.parametrize(
    ("actor", "event_id", "expected"),
    [
        (BUYER, None, ["code"]),
        (BUYER, EVENT.id, Forbidden),
        (ADMIN, None, []),
        (ADMIN, EVENT.id, [""]),
        (ORGANIZER, EVENT.id, [""]),
        (DEMOTED, EVENT.id, Forbidden),
        (STRANGER, EVENT.id, Forbidden),
        (ADMIN, UUID(int=404), CatalogUnavailable),
    ],
)
async def test_a_list_has_own_bookings_or_those_of_a_managed_event_without_codes(
    actor: Actor,
    event_id: UUID | None,
    expected: list[str] | type[DomainError],
    store: MemoryStore,
    context: BookingContext,
) -> None:
    await book(context)
    found: object
    try:
        page = await list_bookings(
            actor,
            event_id=event_id,
            status=None,
            before=None,
            limit=20,
            queries=store,
            provision=context.provision,
        )
        found = [ticket.code for each in page for ticket in each.booking.tickets]
    except DomainError as error:
        found = type(error)
    assert found == expected


async def test_details_for_emails_have_no_codes_of_void_tickets(
    store: MemoryStore, context: BookingContext
) -> None:
    kept, cancelled = await book(context), await book(context)
    await cancel_booking(cancelled.id, BUYER, bookings=store, now=context.now)
    wanted = [(EVENT.id, kept.id), (EVENT.id, cancelled.id), (EVENT.id, uuid4())]
    found = await get_booking_details(wanted, queries=store)
    codes_by_booking = {
        each.booking.id: [ticket.code for ticket in each.booking.tickets] for each in found
    }
    assert codes_by_booking == {kept.id: ["code"], cancelled.id: [""]}
