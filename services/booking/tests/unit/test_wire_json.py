"""Payloads of `wire_json` equal those that protobuf's encoder writes."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from booking.domain.booking import (
    Booking,
    BookingCancelled,
    BookingChange,
    BookingConfirmed,
    BookingExpired,
    BookingHeld,
    BookingItem,
    BookingStatus,
    CancellationReason,
    Ticket,
    TicketStatus,
)
from booking.wire import CANCELLATION_REASON
from booking.wire_json import event_type, payload_json
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


changes = (
    st.builds(BookingHeld, bookings())
    | st.builds(BookingConfirmed, bookings())
    | st.builds(BookingExpired, bookings())
    | st.builds(BookingCancelled, bookings(), st.sampled_from(CancellationReason))
)


def booking_state(booking: Booking, organizer_id: str) -> events_pb2.BookingState:
    state = events_pb2.BookingState(
        id=str(booking.id),
        event_id=str(booking.event_id),
        organizer_id=organizer_id,
        user_id=str(booking.user_id),
        lines=[
            events_pb2.BookedLine(
                ticket_type_id=str(item.ticket_type_id),
                quantity=item.quantity,
                unit_price=item.unit_price,
            )
            for item in booking.items
        ],
        total=booking.total,
        currency=booking.currency,
        ticket_ids=[str(ticket.id) for ticket in booking.tickets],
        version=booking.version,
    )
    for when, stamp in (
        (booking.created_at, state.created_at),
        (booking.expires_at, state.expires_at),
        (booking.confirmed_at, state.confirmed_at),
        (booking.closed_at, state.closed_at),
    ):
        if when is not None:
            stamp.FromDatetime(when)
    return state


def message(change: BookingChange, organizer_id: str) -> Message:
    kinds: dict[type, Any] = {
        BookingHeld: events_pb2.BookingHeld,
        BookingConfirmed: events_pb2.BookingConfirmed,
        BookingExpired: events_pb2.BookingExpired,
        BookingCancelled: events_pb2.BookingCancelled,
    }
    made: Message = kinds[type(change)](booking=booking_state(change.booking, organizer_id))
    if isinstance(change, BookingCancelled):
        assert isinstance(made, events_pb2.BookingCancelled)
        made.reason = CANCELLATION_REASON[change.reason]
    return made


@given(changes, st.uuids().map(str))
def test_a_payload_is_what_protobuf_writes(change: BookingChange, organizer_id: str) -> None:
    expected = json.loads(MessageToJson(message(change, organizer_id)))
    assert json.loads(orjson.dumps(payload_json(change, organizer_id))) == expected


@given(changes)
def test_a_payload_has_no_personal_data_and_no_ticket_code(change: BookingChange) -> None:
    secret = "never-published"
    booking = replace(
        change.booking,
        buyer_email=secret,
        buyer_name=secret,
        tickets=tuple(replace(ticket, code=secret) for ticket in change.booking.tickets),
    )
    payload = payload_json(replace(change, booking=booking), str(UUID(int=1)))
    assert secret not in orjson.dumps(payload).decode()


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
