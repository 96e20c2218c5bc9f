"""The JSON of bookings is what the models write, byte by byte."""

import pytest
from gateway.rest.bookings.rendering import booking_json, booking_page_json
from gateway.rest.bookings.schemas import BookingOut, BookingPage, BookingStatus, TicketStatus
from google.protobuf.timestamp_pb2 import Timestamp
from goticket.booking.v1 import booking_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(max_size=20)
AMOUNT = st.integers(0, 2**62)
STAMP = st.builds(
    Timestamp,
    seconds=st.integers(1, 4_000_000_000),
    nanos=st.integers(0, 999_999).map(lambda micros: micros * 1000),
)
ITEM = st.builds(
    pb.BookingItem,
    ticket_type_id=TEXT,
    ticket_type_name=TEXT,
    quantity=st.integers(1, 2**31 - 1),
    unit_price=AMOUNT,
)
TICKET = st.builds(
    pb.Ticket,
    id=TEXT,
    code=TEXT,
    ticket_type_id=TEXT,
    status=st.sampled_from([status.message for status in TicketStatus]),
)


BOOKING = st.builds(
    pb.Booking,
    id=TEXT,
    event_id=TEXT,
    user_id=TEXT,
    buyer_name=TEXT,
    buyer_email=TEXT,
    status=st.sampled_from([status.message for status in BookingStatus]),
    items=st.lists(ITEM, max_size=3),
    total=AMOUNT,
    currency=TEXT,
    tickets=st.lists(TICKET, max_size=3),
    created_at=STAMP,
    expires_at=st.none() | STAMP,
    confirmed_at=st.none() | STAMP,
    closed_at=st.none() | STAMP,
)


@given(BOOKING)
def test_a_booking_is_what_the_model_writes(booking: pb.Booking) -> None:
    written = BookingOut.of(booking).model_dump_json(by_alias=True, exclude_none=True)
    assert booking_json(booking) == written.encode()


@given(st.lists(BOOKING, max_size=3), TEXT)
def test_a_page_is_what_the_model_writes(bookings: list[pb.Booking], cursor: str) -> None:
    page = BookingPage(
        items=[BookingOut.of(booking) for booking in bookings], next_cursor=cursor or None
    )
    message = pb.ListBookingsResponse(bookings=bookings, next_cursor=cursor)
    assert booking_page_json(message) == page.model_dump_json(by_alias=True).encode()


def test_a_status_that_the_api_does_not_know_is_an_error() -> None:
    with pytest.raises(KeyError):
        booking_json(pb.Booking(status=pb.BOOKING_STATUS_UNSPECIFIED))
