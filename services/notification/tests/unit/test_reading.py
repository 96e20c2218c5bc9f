"""Events of the booking service become notices."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1 import events_pb2
from goticket_contracts import event_types
from goticket_platform.messaging.consumer import Poison, ReceivedEvent
from notification.bookings import Kind
from notification.money import Money
from notification.reading import read_notice

START = datetime(2027, 6, 12, 17, 30, tzinfo=UTC)


def snapshot(**changes: object) -> pb.EventSnapshot:
    event = pb.EventSnapshot(
        id=str(uuid.uuid4()), name="Metallica Live", location="Berlin", timezone="Europe/Berlin"
    )
    event.starts_at.FromDatetime(START)
    event.ends_at.FromDatetime(START + timedelta(hours=3))
    for name, value in changes.items():
        setattr(event, name, value)
    return event


def confirmed(tickets: int = 2) -> events_pb2.BookingConfirmed:
    event = snapshot()
    booking = pb.Booking(
        id=str(uuid.uuid4()),
        event_id=event.id,
        buyer_email="ada@buyers.example",
        buyer_name="Ada\r\nLovelace",
        status=pb.BOOKING_STATUS_CONFIRMED,
        items=[
            pb.BookingItem(
                ticket_type_id="t1", ticket_type_name="Floor", quantity=tickets, unit_price=2500
            )
        ],
        total=2500 * tickets,
        currency="EUR",
        version=4,
        tickets=[
            pb.Ticket(
                id=str(uuid.uuid4()),
                code=f"code-{number}",
                ticket_type_id="t1",
                ticket_type_name="Floor",
                holder_name="Ada Lovelace",
            )
            for number in range(tickets)
        ],
    )
    booking.confirmed_at.FromDatetime(START - timedelta(days=30))
    return events_pb2.BookingConfirmed(booking=booking, event=event)


def received(kind: str, payload: Message | str) -> ReceivedEvent:
    text = payload if isinstance(payload, str) else json_format.MessageToJson(payload)
    return ReceivedEvent(
        id=uuid.uuid4(),
        type=kind,
        source="/goticket/booking",
        subject="booking",
        version=1,
        occurred_at=START,
        payload=text,
        headers={},
        attempt=1,
    )


def test_a_confirmation_becomes_tickets_numbered_in_order() -> None:
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


def test_names_are_one_line_from_here_on() -> None:
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
    reason: "events_pb2.CancellationReason.ValueType", text: str
) -> None:
    source = confirmed()
    payload = events_pb2.BookingCancelled(booking=source.booking, event=source.event, reason=reason)

    notice = read_notice(received(event_types.BOOKING_CANCELLED, payload))

    assert notice is not None
    assert (notice.kind, notice.reason) == (Kind.CANCELLATION, text)


def test_an_expiry_is_told() -> None:
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
def test_other_events_are_nothing_to_write_about(kind: str) -> None:
    assert read_notice(received(kind, "not even JSON")) is None


def test_a_zone_unknown_here_is_told_in_utc() -> None:
    payload = confirmed()
    payload.event.timezone = "Mars/Olympus_Mons"

    notice = read_notice(received(event_types.BOOKING_CONFIRMED, payload))

    assert notice is not None
    assert notice.booking.event.zone.key == "UTC"


@pytest.mark.parametrize("zone", ["", "../../etc/passwd", "/etc/passwd", "a\\b"])
def test_a_zone_that_is_no_name_is_told_in_utc(zone: str) -> None:
    payload = confirmed()
    payload.event.timezone = zone

    notice = read_notice(received(event_types.BOOKING_CONFIRMED, payload))

    assert notice is not None
    assert notice.booking.event.zone.key == "UTC"


def test_a_field_of_a_later_release_is_skipped() -> None:
    text = json_format.MessageToJson(confirmed()).replace("{", '{"fromTheFuture": 1,', 1)

    assert read_notice(received(event_types.BOOKING_CONFIRMED, text)) is not None


def without_time() -> events_pb2.BookingConfirmed:
    payload = confirmed()
    payload.event.ClearField("starts_at")
    return payload


def with_foreign_ticket() -> events_pb2.BookingConfirmed:
    payload = confirmed()
    payload.booking.tickets[0].ticket_type_id = "t9"
    return payload


def without_id() -> events_pb2.BookingConfirmed:
    payload = confirmed()
    payload.booking.id = "7"
    return payload


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "not JSON",
        "[]",
        '{"booking": 7}',
        "{}",
        confirmed(tickets=0),
        without_time(),
        with_foreign_ticket(),
        without_id(),
    ],
)
def test_what_cannot_be_told_is_poison(payload: Message | str) -> None:
    with pytest.raises(Poison):
        read_notice(received(event_types.BOOKING_CONFIRMED, payload))
