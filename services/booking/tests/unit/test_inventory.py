"""The rules of inventory that must never break, compared with a simple model."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from booking.domain.booking import Booking, BookingStatus, CancellationReason, IssuedTicket
from booking.domain.booking_creation import CommandLine, CreateBookingCommand, decide_booking
from booking.domain.errors import (
    BookingClosed,
    CapacityBelowTaken,
    HoldExpired,
    MaxPerBookingExceeded,
    SoldOut,
)
from booking.domain.event import CatalogEvent, Event, EventStatus, TicketTypeOffer
from booking.domain.inventory import EventInventory, inventory_of
from goticket_kernel.actor import Actor
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

START = datetime(2030, 6, 1, 20, 0, tzinfo=UTC)
HOLD = timedelta(minutes=10)
TYPES = [UUID(int=number) for number in range(1, 4)]
MAX_PER_BOOKING = 4
BUYER = Actor(UUID(int=99), email="b@example.com", name="B")

quantities = st.dictionaries(
    st.sampled_from(TYPES), st.integers(1, MAX_PER_BOOKING + 1), min_size=1, max_size=3
)


def event(version: int = 1) -> Event:
    return Event(
        id=UUID(int=500),
        organizer_id=UUID(int=501),
        name="Metallica Live",
        location="Warsaw",
        timezone="Europe/Warsaw",
        starts_at=START,
        ends_at=START + timedelta(hours=3),
        currency="EUR",
        status=EventStatus.PUBLISHED,
        version=version,
    )


def catalog(capacities: list[int], version: int = 1) -> CatalogEvent:
    offers = zip(TYPES, capacities, strict=True)
    return CatalogEvent(
        event(version),
        tuple(
            TicketTypeOffer(type_id, f"T{type_id.int}", 100 * type_id.int, capacity, 4)
            for type_id, capacity in offers
        ),
    )


def issue(_event_id: UUID) -> IssuedTicket:
    ticket_id = uuid4()
    return IssuedTicket(ticket_id, f"code-{ticket_id}")


class InventoryMachine(RuleBasedStateMachine):
    """Creates and closes bookings; the model is the list of bookings."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START - timedelta(days=1)
        self.bookings: list[Booking] = []
        self.released: list[UUID] = []
        self.inventory = inventory_of(event(), [])
        self.version = 1

    @initialize(capacities=st.lists(st.integers(1, 12), min_size=3, max_size=3))
    def open_event(self, capacities: list[int]) -> None:
        self.inventory.apply_catalog(catalog(capacities))

    def taken(self, type_id: UUID, *statuses: BookingStatus) -> int:
        return sum(
            item.quantity
            for booking in self.bookings
            if booking.status in statuses
            for item in booking.items
            if item.ticket_type_id == type_id
        )

    def available(self, type_id: UUID) -> int:
        open_ones = self.taken(type_id, BookingStatus.HELD, BookingStatus.CONFIRMED)
        return self.inventory.ticket_types[type_id].capacity - open_ones

    @rule(wanted=quantities, hold=st.booleans())
    def book(self, wanted: dict[UUID, int], hold: bool) -> None:
        fits = all(quantity <= self.available(type_id) for type_id, quantity in wanted.items())
        allowed = all(quantity <= MAX_PER_BOOKING for quantity in wanted.values())
        lines = tuple(CommandLine(*line) for line in wanted.items())
        command = CreateBookingCommand(event().id, BUYER, lines, hold)
        before = [(kind.held, kind.sold) for kind in self.inventory.ticket_types.values()]
        try:
            granted = decide_booking(
                command,
                self.inventory,
                booking_id=uuid4(),
                now=self.now,
                hold_for=HOLD,
                issue=issue,
            )
        except SoldOut:
            assert allowed
            assert not fits
            assert before == [(k.held, k.sold) for k in self.inventory.ticket_types.values()]
            return
        except MaxPerBookingExceeded:
            assert not allowed
            assert before == [(k.held, k.sold) for k in self.inventory.ticket_types.values()]
            return
        assert fits
        assert allowed
        assert {item.ticket_type_id: item.quantity for item in granted.booking.items} == wanted
        self.bookings.append(granted.booking)

    @precondition(lambda self: self.bookings)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.bookings) - 1))
        booking = self.bookings[index]
        try:
            confirmed = (
                booking.confirm(self.now, issue) if booking.require_confirmable(self.now) else None
            )
        except HoldExpired:
            past_end = booking.expires_at is not None and booking.expires_at <= self.now
            assert past_end or booking.status is BookingStatus.EXPIRED
        except BookingClosed:
            assert booking.status is BookingStatus.CANCELLED
        else:
            assert (confirmed is None) == (booking.status is BookingStatus.CONFIRMED)
            if confirmed is not None:
                self.inventory.confirm_hold(booking)
                self.bookings[index] = confirmed.booking

    @precondition(lambda self: self.bookings)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.bookings) - 1))
        booking = self.bookings[index]
        try:
            cancelled = booking.cancel(self.now, CancellationReason.BY_BUYER)
        except BookingClosed:
            assert booking.status is BookingStatus.EXPIRED
            return
        assert (cancelled is None) == (booking.status is BookingStatus.CANCELLED)
        if cancelled is not None:
            self.close(index, cancelled.booking)

    @rule()
    def sweep(self) -> None:
        for index, booking in enumerate(self.bookings):
            if expired := booking.expire(self.now):
                assert booking.expires_at is not None
                assert booking.expires_at <= self.now
                self.close(index, expired.booking)

    @rule(minutes=st.integers(1, 15))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(capacities=st.lists(st.integers(1, 12), min_size=3, max_size=3))
    def catalog_changes(self, capacities: list[int]) -> None:
        self.version += 1
        shortfalls = self.inventory.apply_catalog(catalog(capacities, self.version))
        for shortfall in shortfalls:
            assert shortfall.kept == self.inventory.ticket_types[shortfall.ticket_type_id].taken

    def close(self, index: int, closed: Booking) -> None:
        self.inventory.release(self.bookings[index])
        self.bookings[index] = closed
        self.released.append(closed.id)

    @invariant()
    def never_oversold(self) -> None:
        for kind in self.inventory.ticket_types.values():
            assert kind.held >= 0
            assert kind.sold >= 0
            assert kind.held + kind.sold <= kind.capacity

    @invariant()
    def counts_equal_the_bookings(self) -> None:
        for kind in self.inventory.ticket_types.values():
            assert kind.held == self.taken(kind.id, BookingStatus.HELD)
            assert kind.sold == self.taken(kind.id, BookingStatus.CONFIRMED)

    @invariant()
    def inventory_is_released_once(self) -> None:
        assert len(self.released) == len(set(self.released))

    @invariant()
    def confirmed_bookings_have_their_tickets(self) -> None:
        for booking in self.bookings:
            if booking.status is BookingStatus.CONFIRMED:
                kinds = [ticket.ticket_type_id for ticket in booking.tickets]
                for item in booking.items:
                    assert kinds.count(item.ticket_type_id) == item.quantity

    @invariant()
    def changes_are_the_differences_of_the_counts(self) -> None:
        for kind in self.inventory.ticket_types.values():
            change = self.inventory.changes.get(kind.id)
            assert (kind.held, kind.sold) == ((change.held, change.sold) if change else (0, 0))


InventoryMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
TestInventory = InventoryMachine.TestCase


def new_inventory(*capacities: int) -> EventInventory:
    inventory = inventory_of(event(), [])
    inventory.apply_catalog(catalog([*capacities, *[1] * (3 - len(capacities))]))
    return inventory


def test_a_shrink_is_all_or_nothing() -> None:
    inventory = new_inventory(5, 5)
    inventory.reserve({TYPES[1]: 3}, hold=True)
    with pytest.raises(CapacityBelowTaken):
        inventory.shrink({TYPES[0]: 1, TYPES[1]: 2}, resync_after=START)
    assert inventory.resync_after is None
    inventory.shrink({TYPES[0]: 1, TYPES[1]: 3, uuid4(): 0}, resync_after=START)
    assert [kind.available for kind in inventory.active_ticket_types] == [1, 0, 1]


def test_a_shrink_never_raises_a_capacity() -> None:
    inventory = new_inventory(5)
    inventory.shrink({TYPES[0]: 50}, resync_after=START)
    assert inventory.ticket_types[TYPES[0]].capacity == 5


def test_a_capacity_grows_after_a_pending_shrink_only_by_a_later_read() -> None:
    inventory = new_inventory(5)
    inventory.shrink({TYPES[0]: 2}, resync_after=START)
    inventory.apply_catalog(catalog([5, 1, 1], 2))
    assert (inventory.ticket_types[TYPES[0]].capacity, inventory.resync_after) == (2, START)
    inventory.apply_catalog(catalog([5, 1, 1], 2), read_at=START - timedelta(seconds=1))
    assert inventory.ticket_types[TYPES[0]].capacity == 2
    inventory.apply_catalog(catalog([5, 1, 1], 2), read_at=START)
    assert (inventory.ticket_types[TYPES[0]].capacity, inventory.resync_after) == (5, None)


def test_a_message_with_the_smaller_capacity_settles_the_shrink() -> None:
    inventory = new_inventory(5)
    inventory.shrink({TYPES[0]: 2}, resync_after=START)
    inventory.apply_catalog(catalog([2, 1, 1], 2))
    assert inventory.resync_after is None


def test_a_removed_type_is_no_longer_on_offer_but_keeps_its_counts() -> None:
    inventory = new_inventory(5)
    inventory.reserve({TYPES[0]: 2}, hold=False)
    whole = catalog([5, 1, 1], 2)
    inventory.apply_catalog(replace(whole, offers=whole.offers[1:]))
    assert [kind.id for kind in inventory.active_ticket_types] == TYPES[1:]
    removed = inventory.ticket_types[TYPES[0]]
    assert (removed.sold, removed.available) == (2, 0)
