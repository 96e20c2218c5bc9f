"""Commands to create bookings: valid ones, and the errors of invalid ones."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from booking.application.commands.prepare_booking import fingerprint
from booking.domain.booking import IssuedTicket
from booking.domain.booking_creation import CommandLine, CreateBookingCommand, decide_booking
from booking.domain.errors import (
    EventCancelled,
    EventNotFound,
    EventOver,
    InvalidBooking,
    MaxPerBookingExceeded,
    UnknownTicketType,
)
from booking.domain.event import Event, EventStatus
from booking.domain.inventory import EventInventory, TicketTypeInventory, inventory_of
from goticket_kernel.actor import Actor
from goticket_kernel.errors import DomainError

START = datetime(2030, 6, 1, 20, 0, tzinfo=UTC)
END = START + timedelta(hours=3)
BUYER = Actor(UUID(int=1), email="b@example.com", name="B")
EVENT = UUID(int=2)
SEAT, BOX, REMOVED = UUID(int=11), UUID(int=12), UUID(int=13)


def command(
    *lines: tuple[UUID | None, int], key: str | None = None, event_id: UUID = EVENT
) -> CreateBookingCommand:
    wanted = tuple(CommandLine(*line) for line in lines)
    return CreateBookingCommand(event_id, BUYER, wanted, idempotency_key=key)


def inventory(*types: UUID, status: EventStatus = EventStatus.PUBLISHED) -> EventInventory:
    event = Event(EVENT, UUID(int=3), "E", "", "UTC", START, END, "EUR", status, version=1)
    kinds = [TicketTypeInventory(t, n, f"T{n}", 100, 50, 10) for n, t in enumerate(types)]
    for kind in kinds:
        kind.active = kind.id != REMOVED
    return inventory_of(event, kinds)


def attempt(wanted: CreateBookingCommand, of: EventInventory, now: datetime = START) -> None:
    decide_booking(
        wanted,
        of,
        booking_id=uuid4(),
        now=now,
        hold_for=timedelta(minutes=10),
        issue=lambda _: IssuedTicket(uuid4(), "code"),
    )


@pytest.mark.parametrize(
    ("wanted", "fields"),
    [
        (command(), ["lines"]),
        (command(*[(SEAT, 1)] * 51), ["lines"]),
        (command((None, 0)), ["lines[0].quantity"]),
        (command((SEAT, -1)), ["lines[0].quantity"]),
        (command((SEAT, 0), (BOX, 1), (REMOVED, 0)), ["lines[0].quantity", "lines[2].quantity"]),
        (command((None, 1), key=""), ["idempotency_key"]),
        (command((None, 1), key="a b"), ["idempotency_key"]),
        (command((None, 1), key="é"), ["idempotency_key"]),
        (command((None, 0), key="x" * 256), ["lines[0].quantity", "idempotency_key"]),
    ],
)
def test_malformed_commands_name_every_field(
    wanted: CreateBookingCommand, fields: list[str]
) -> None:
    with pytest.raises(InvalidBooking) as caught:
        wanted.require_well_formed()
    assert [problem.field for problem in caught.value.fields] == fields


def test_a_command_at_every_limit_is_well_formed() -> None:
    command(*[(SEAT, 1)] * 50, key="!" + "~" * 254).require_well_formed()


@pytest.mark.parametrize(
    ("wanted", "error", "field"),
    [
        (command((None, 11)), MaxPerBookingExceeded, "lines[0].quantity"),
        (command((None, 10**9)), MaxPerBookingExceeded, "lines[0].quantity"),
        (command((SEAT, 6), (SEAT, 5)), MaxPerBookingExceeded, "lines[1].quantity"),
        (command((None, 6), (SEAT, 5)), MaxPerBookingExceeded, "lines[1].quantity"),
        (command((BOX, 1)), UnknownTicketType, "lines[0].ticket_type_id"),
        (command((SEAT, 1), (REMOVED, 1)), UnknownTicketType, "lines[1].ticket_type_id"),
    ],
)
def test_a_command_that_does_not_fit_the_event_names_the_field(
    wanted: CreateBookingCommand, error: type[DomainError], field: str
) -> None:
    with pytest.raises(error) as caught:
        attempt(wanted, inventory(SEAT, REMOVED))
    assert [problem.field for problem in caught.value.fields] == [field]


def test_the_error_has_the_limit_per_booking() -> None:
    with pytest.raises(MaxPerBookingExceeded) as caught:
        attempt(command((None, 11)), inventory(SEAT))
    assert caught.value.metadata == {"ticket_type_id": str(SEAT), "limit": "10"}


def test_a_booking_has_at_most_as_many_tickets_as_one_email_can_carry() -> None:
    types = [UUID(int=100 + number) for number in range(11)]
    attempt(command(*((each, 10) for each in types[:10])), inventory(*types))
    with pytest.raises(InvalidBooking) as caught:
        attempt(command(*((each, 10) for each in types)), inventory(*types))
    assert [problem.field for problem in caught.value.fields] == ["lines"]


def test_a_ticket_type_has_to_be_named_if_there_are_several() -> None:
    with pytest.raises(InvalidBooking) as caught:
        attempt(command((None, 1)), inventory(SEAT, BOX))
    assert [problem.field for problem in caught.value.fields] == ["lines[0].ticket_type_id"]


@pytest.mark.parametrize(
    ("status", "now", "error"),
    [
        (EventStatus.DRAFT, START, EventNotFound),
        (EventStatus.CANCELLED, START, EventCancelled),
        (EventStatus.CANCELLED, END, EventCancelled),
        (EventStatus.PUBLISHED, END, EventOver),
    ],
)
def test_an_event_that_is_not_on_sale_cannot_be_booked(
    status: EventStatus, now: datetime, error: type[DomainError]
) -> None:
    with pytest.raises(error):
        attempt(command((None, 1)), inventory(SEAT, status=status), now)


def test_tickets_are_sold_until_the_event_ends() -> None:
    attempt(command((None, 1)), inventory(SEAT), END - timedelta(microseconds=1))


def test_a_fingerprint_does_not_depend_on_how_lines_are_split() -> None:
    same = fingerprint(command((SEAT, 1), (BOX, 2), (SEAT, 1)))
    assert same == fingerprint(command((BOX, 2), (SEAT, 2), key="k"))
    others = [
        fingerprint(command((BOX, 2), (SEAT, 2), event_id=UUID(int=3))),
        fingerprint(command((BOX, 2), (SEAT, 3))),
        fingerprint(replace(command((BOX, 2), (SEAT, 2)), hold=True)),
    ]
    assert same not in others
