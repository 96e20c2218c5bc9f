"""Events of the booking service become notices."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from google.protobuf import json_format
from goticket.booking.v1 import events_pb2
from goticket_contracts import event_types
from goticket_documents.money import Money
from goticket_platform.messaging.consumer import NonRetryableError, ReceivedMessage
from notification.bookings import Kind
from notification.reading import read_notice

START = datetime(2027, 6, 12, 17, 30, tzinfo=UTC)

MakeConfirmed = Callable[..., events_pb2.BookingConfirmed]
MakeReceived = Callable[..., ReceivedMessage]


def test_a_confirmation_becomes_tickets_numbered_in_order(
    confirmed: MakeConfirmed, received: MakeReceived
) -> None:
    payload = confirmed(tickets=3)

    notice = read_notice(received(event_types.BOOKING_CONFIRMED, payload))

    assert notice is not None
    assert notice.kind is Kind.TICKETS
    booking = notice.booking
    assert (booking.version, booking.total) == (4, Money(7500, "EUR"))
    assert booking.was_confirmed
    assert booking.event.starts_at == START
    assert [(ticket.number, ticket.count) for ticket in booking.tickets] == [(1, 3), (2, 3), (3, 3)]
    assert [ticket.code for ticket in booking.tickets] == ["code-0", "code-1", "code-2"]
    assert {ticket.price for ticket in booking.tickets} == {Money(2500, "EUR")}


def test_names_are_one_line_from_here_on(confirmed: MakeConfirmed, received: MakeReceived) -> None:
    notice = read_notice(received(event_types.BOOKING_CONFIRMED, confirmed()))

    assert notice is not None
    assert notice.booking.buyer_name == "Ada Lovelace"


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (events_pb2.CANCELLATION_REASON_BY_BUYER, "You asked us to cancel it."),
        (events_pb2.CANCELLATION_REASON_BY_ORGANIZER, "The organizer cancelled it."),
        (events_pb2.CANCELLATION_REASON_EVENT_CANCELLED, "The event has been called off."),
        (events_pb2.CANCELLATION_REASON_UNSPECIFIED, ""),
    ],
)
def test_a_cancellation_says_why(
    confirmed: MakeConfirmed,
    received: MakeReceived,
    reason: "events_pb2.CancellationReason.ValueType",
    text: str,
) -> None:
    source = confirmed()
    payload = events_pb2.BookingCancelled(booking=source.booking, event=source.event, reason=reason)

    notice = read_notice(received(event_types.BOOKING_CANCELLED, payload))

    assert notice is not None
    assert (notice.kind, notice.reason) == (Kind.CANCELLATION, text)


def test_an_expiry_is_told(confirmed: MakeConfirmed, received: MakeReceived) -> None:
    source = confirmed(tickets=0)
    source.booking.ClearField("confirmed_at")
    payload = events_pb2.BookingExpired(booking=source.booking, event=source.event)

    notice = read_notice(received(event_types.BOOKING_EXPIRED, payload))

    assert notice is not None
    assert notice.kind is Kind.EXPIRY
    assert not notice.booking.was_confirmed


@pytest.mark.parametrize(
    "kind", [event_types.BOOKING_HELD, "goticket.booking.booking.refunded.v1", "whatever"]
)
def test_other_events_are_nothing_to_write_about(received: MakeReceived, kind: str) -> None:
    assert read_notice(received(kind, "not even JSON")) is None


def test_a_zone_unknown_here_is_told_in_utc(
    confirmed: MakeConfirmed, received: MakeReceived
) -> None:
    payload = confirmed()
    payload.event.timezone = "Mars/Olympus_Mons"

    notice = read_notice(received(event_types.BOOKING_CONFIRMED, payload))

    assert notice is not None
    assert notice.booking.event.zone.key == "UTC"


@pytest.mark.parametrize("zone", ["", "../../etc/passwd", "/etc/passwd", "a\\b"])
def test_a_zone_that_is_no_name_is_told_in_utc(
    confirmed: MakeConfirmed, received: MakeReceived, zone: str
) -> None:
    payload = confirmed()
    payload.event.timezone = zone

    notice = read_notice(received(event_types.BOOKING_CONFIRMED, payload))

    assert notice is not None
    assert notice.booking.event.zone.key == "UTC"


def test_a_field_of_a_later_release_is_skipped(
    confirmed: MakeConfirmed, received: MakeReceived
) -> None:
    text = json_format.MessageToJson(confirmed()).replace("{", '{"fromTheFuture": 1,', 1)

    assert read_notice(received(event_types.BOOKING_CONFIRMED, text)) is not None


def lose_the_time(payload: events_pb2.BookingConfirmed) -> None:
    payload.event.ClearField("starts_at")


def lose_the_id(payload: events_pb2.BookingConfirmed) -> None:
    payload.booking.id = "7"


def lose_the_tickets(payload: events_pb2.BookingConfirmed) -> None:
    payload.booking.ClearField("tickets")


def mix_up_the_ticket_types(payload: events_pb2.BookingConfirmed) -> None:
    payload.booking.tickets[0].ticket_type_id = "t9"


@pytest.mark.parametrize(
    "damage", [lose_the_time, lose_the_id, lose_the_tickets, mix_up_the_ticket_types]
)
def test_a_booking_that_lacks_what_a_letter_needs_is_poison(
    confirmed: MakeConfirmed,
    received: MakeReceived,
    damage: Callable[[events_pb2.BookingConfirmed], None],
) -> None:
    payload = confirmed()
    damage(payload)

    with pytest.raises(NonRetryableError, match="cannot be told"):
        read_notice(received(event_types.BOOKING_CONFIRMED, payload))


@pytest.mark.parametrize("body", ["", "not JSON", "[]", '{"booking": 7}', "{}"])
def test_what_is_no_booking_is_poison(received: MakeReceived, body: str) -> None:
    with pytest.raises(NonRetryableError):
        read_notice(received(event_types.BOOKING_CONFIRMED, body))
