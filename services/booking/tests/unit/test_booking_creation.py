"""What a request for tickets may say, and what it is told when it may not."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from booking.application.commands.prepare_booking import fingerprint
from goticket_kernel.actor import Actor
from booking.domain.booking import IssuedTicket
from booking.domain.errors import (
    DomainError,
    EventCancelled,
    EventNotFound,
    EventOver,
    InvalidBooking,
    MaxPerBookingExceeded,
    UnknownTicketType,
)
from booking.domain.event import Event, EventStatus
from booking.domain.booking_creation import CreateBookingCommand, CommandLine, place
from booking.domain.inventory import EventInventory, TicketTypeInventory, inventory_of

START = datetime(2030, 6, 1, 20, 0, tzinfo=UTC)
END = START + timedelta(hours=3)
BUYER = Actor(UUID(int=1), "b@example.com", "B", frozenset())
SEAT, BOX, GONE = UUID(int=11), UUID(int=12), UUID(int=13)


def request(*lines: tuple[UUID | None, int], key: str | None = None) -> CreateBookingCommand:
    return CreateBookingCommand(BUYER, tuple(CommandLine(*line) for line in lines), key=key)


def stock(*types: UUID, status: EventStatus = EventStatus.PUBLISHED) -> EventInventory:
    event = Event(UUID(int=2), UUID(int=3), "E", "", "UTC", START, END, "EUR", status, version=1)
    kinds = [TicketTypeInventory(t, n, f"T{n}", 100, 50, 10) for n, t in enumerate(types)]
    for kind in kinds:
        kind.active = kind.id != GONE
    return EventInventory(event, {kind.id: kind for kind in kinds})


def attempt(wanted: CreateBookingCommand, of: EventInventory, now: datetime = START) -> None:
    place(
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
        (request(), ["items"]),
        (request(*[(SEAT, 1)] * 51), ["items"]),
        (request((None, 0)), ["quantity"]),
        (request((SEAT, -1)), ["items[0].quantity"]),
        (request((SEAT, 0), (BOX, 1), (GONE, 0)), ["items[0].quantity", "items[2].quantity"]),
        (request((None, 1), key=""), ["Idempotency-Key"]),
        (request((None, 1), key="a b"), ["Idempotency-Key"]),
        (request((None, 1), key="é"), ["Idempotency-Key"]),
        (request((None, 0), key="x" * 256), ["quantity", "Idempotency-Key"]),
    ],
)
def test_malformed_requests_name_every_field(wanted: CreateBookingCommand, fields: list[str]) -> None:
    with pytest.raises(InvalidBooking) as caught:
        wanted.require_well_formed()
    assert [problem.field for problem in caught.value.fields] == fields


def test_a_request_at_every_limit_is_well_formed() -> None:
    request(*[(SEAT, 1)] * 50, key="!" + "~" * 254).require_well_formed()


@pytest.mark.parametrize(
    ("wanted", "error", "field"),
    [
        (request((None, 11)), MaxPerBookingExceeded, "quantity"),
        (request((None, 10**9)), MaxPerBookingExceeded, "quantity"),
        (request((SEAT, 6), (SEAT, 5)), MaxPerBookingExceeded, "items[1].quantity"),
        (request((None, 6), (SEAT, 5)), MaxPerBookingExceeded, "items[1].quantity"),
        (request((BOX, 1)), UnknownTicketType, "items[0].ticketTypeId"),
        (request((SEAT, 1), (GONE, 1)), UnknownTicketType, "items[1].ticketTypeId"),
    ],
)
def test_what_does_not_fit_the_event_names_the_field(
    wanted: CreateBookingCommand, error: type[DomainError], field: str
) -> None:
    with pytest.raises(error) as caught:
        attempt(wanted, stock(SEAT, GONE))
    assert [problem.field for problem in caught.value.fields] == [field]


def test_the_limit_per_booking_is_told() -> None:
    with pytest.raises(MaxPerBookingExceeded) as caught:
        attempt(request((None, 11)), stock(SEAT))
    assert caught.value.metadata == {"ticketTypeId": str(SEAT), "limit": "10"}


def test_all_tickets_of_a_booking_fit_into_one_letter() -> None:
    types = [UUID(int=100 + number) for number in range(11)]
    attempt(request(*((each, 10) for each in types[:10])), stock(*types))
    with pytest.raises(InvalidBooking) as caught:
        attempt(request(*((each, 10) for each in types)), stock(*types))
    assert [problem.field for problem in caught.value.fields] == ["items"]


def test_of_several_ticket_types_one_has_to_be_named() -> None:
    with pytest.raises(InvalidBooking) as caught:
        attempt(request((None, 1)), stock(SEAT, BOX))
    assert [problem.field for problem in caught.value.fields] == ["items[0].ticketTypeId"]


@pytest.mark.parametrize(
    ("status", "now", "error"),
    [
        (EventStatus.DRAFT, START, EventNotFound),
        (EventStatus.CANCELLED, START, EventCancelled),
        (EventStatus.CANCELLED, END, EventCancelled),
        (EventStatus.PUBLISHED, END, EventOver),
    ],
)
def test_what_is_not_on_sale_cannot_be_booked(
    status: EventStatus, now: datetime, error: type[DomainError]
) -> None:
    with pytest.raises(error):
        attempt(request((None, 1)), stock(SEAT, status=status), now)


def test_latecomers_can_book_until_the_event_ends() -> None:
    attempt(request((None, 1)), stock(SEAT), END - timedelta(microseconds=1))


def test_a_fingerprint_is_of_what_is_asked_for_and_not_of_how() -> None:
    event_id = UUID(int=2)
    same = fingerprint(event_id, request((SEAT, 1), (BOX, 2), (SEAT, 1)))
    assert same == fingerprint(event_id, request((BOX, 2), (SEAT, 2), key="k"))
    others = [
        fingerprint(UUID(int=3), request((BOX, 2), (SEAT, 2))),
        fingerprint(event_id, request((BOX, 2), (SEAT, 3))),
        fingerprint(event_id, CreateBookingCommand(BUYER, (CommandLine(BOX, 2), CommandLine(SEAT, 2)), hold=True)),
    ]
    assert same not in others
