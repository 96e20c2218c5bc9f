"""The JSON of tickets is what the models write, byte by byte."""

import pytest
from gateway.rest.bookings.schemas import TicketStatus
from gateway.rest.tickets.rendering import ticket_json, ticket_page_json
from gateway.rest.tickets.schemas import TicketOut, TicketPage
from google.protobuf.timestamp_pb2 import Timestamp
from goticket.booking.v1 import booking_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(max_size=20)
STAMP = st.builds(
    Timestamp,
    seconds=st.integers(0, 4_000_000_000),
    nanos=st.integers(0, 999_999).map(lambda micros: micros * 1000),
)
TICKET = st.builds(
    pb.Ticket,
    id=TEXT,
    booking_id=TEXT,
    event_id=TEXT,
    ticket_type_id=TEXT,
    ticket_type_name=TEXT,
    code=TEXT,
    status=st.sampled_from([status.message for status in TicketStatus]),
    holder_name=TEXT,
    event=st.builds(
        pb.EventSnapshot,
        id=TEXT,
        name=TEXT,
        location=TEXT,
        timezone=TEXT,
        starts_at=STAMP,
        ends_at=STAMP,
    ),
)


@given(TICKET)
def test_a_ticket_is_what_the_model_writes(ticket: pb.Ticket) -> None:
    written = TicketOut.of(ticket).model_dump_json(by_alias=True)
    assert ticket_json(ticket) == written.encode()


@given(st.lists(TICKET, max_size=3), TEXT)
def test_a_page_is_what_the_model_writes(tickets: list[pb.Ticket], cursor: str) -> None:
    page = TicketPage(
        items=[TicketOut.of(ticket) for ticket in tickets], next_cursor=cursor or None
    )
    message = pb.ListTicketsResponse(tickets=tickets, next_cursor=cursor)
    assert ticket_page_json(message) == page.model_dump_json(by_alias=True).encode()


def test_a_status_that_the_api_does_not_know_is_an_error() -> None:
    with pytest.raises(KeyError):
        ticket_json(pb.Ticket(status=pb.TICKET_STATUS_UNSPECIFIED))
