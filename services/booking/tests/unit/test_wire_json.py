"""Events written by hand are what protobuf would write."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from booking.domain.booking import (
    Booking,
    BookingCancelled,
    BookingConfirmed,
    BookingChange,
    BookingExpired,
    BookingHeld,
    BookingItem,
    BookingStatus,
    CancellationReason,
    Ticket,
    TicketStatus,
)
from booking.domain.event import Event, EventStatus
from booking.wire import CANCELLATION_REASON, booking_message, event_snapshot
from booking.wire_json import event_type, payload_json, snapshot_json
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from goticket.booking.v1 import events_pb2
from hypothesis import given
from hypothesis import strategies as st

EVENT_ID = UUID(int=5)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
codes = st.text("ABC.234", min_size=1)
amounts = st.integers(0, 2**53)
times = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001 - zoned next
    lambda when: when.replace(tzinfo=UTC)
)
items = st.builds(BookingItem, st.uuids(), texts, st.integers(1, 50), amounts)
events = st.builds(
    Event,
    id=st.just(EVENT_ID),
    organizer_id=st.uuids(),
    name=texts,
    location=texts,
    timezone=texts,
    starts_at=times,
    ends_at=times,
    currency=texts,
    status=st.sampled_from(EventStatus),
    version=amounts,
)


@st.composite
def bookings(draw: st.DrawFn) -> Booking:
    lines = draw(st.lists(items, max_size=3, unique_by=lambda item: item.ticket_type_id))
    kinds = [item.ticket_type_id for item in lines]
    tickets = st.builds(
        Ticket, st.uuids(), st.sampled_from(kinds), codes, st.sampled_from(TicketStatus)
    )
    return Booking(
        id=draw(st.uuids()),
        event_id=EVENT_ID,
        user_id=draw(st.uuids()),
        buyer_email=draw(texts),
        buyer_name=draw(texts),
        status=draw(st.sampled_from(BookingStatus)),
        items=tuple(lines),
        tickets=tuple(draw(st.lists(tickets, max_size=3))) if kinds else (),
        currency=draw(texts),
        version=draw(amounts),
        created_at=draw(times),
        expires_at=draw(st.none() | times),
        confirmed_at=draw(st.none() | times),
        closed_at=draw(st.none() | times),
    )


happenings = (
    st.builds(BookingHeld, bookings())
    | st.builds(BookingConfirmed, bookings())
    | st.builds(BookingExpired, bookings())
    | st.builds(BookingCancelled, bookings(), st.sampled_from(CancellationReason))
)


def message(happened: BookingChange, event: Event) -> Message:
    kinds: dict[type, Any] = {
        BookingHeld: events_pb2.BookingHeld,
        BookingConfirmed: events_pb2.BookingConfirmed,
        BookingExpired: events_pb2.BookingExpired,
        BookingCancelled: events_pb2.BookingCancelled,
    }
    made: Message = kinds[type(happened)](
        booking=booking_message(happened.booking, event), event=event_snapshot(event)
    )
    if isinstance(happened, BookingCancelled):
        assert isinstance(made, events_pb2.BookingCancelled)
        made.reason = CANCELLATION_REASON[happened.reason]
    return made


@given(happenings, events)
def test_a_payload_is_what_protobuf_writes(happened: BookingChange, event: Event) -> None:
    expected = json.loads(MessageToJson(message(happened, event)))
    assert json.loads(payload_json(happened, snapshot_json(event))) == expected


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (BookingHeld, "held"),
        (BookingConfirmed, "confirmed"),
        (BookingExpired, "expired"),
    ],
)
def test_each_kind_has_its_type(kind: type[BookingHeld], name: str) -> None:
    when = datetime(2030, 1, 1, tzinfo=UTC)
    booking = Booking(
        UUID(int=1), UUID(int=2), UUID(int=3), "", "", BookingStatus.HELD, (), (), "EUR", 1, when
    )
    assert event_type(kind(booking)) == f"goticket.booking.booking.{name}.v1"
