"""Bookings, the booking service's details of them, and messages about them."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1 import events_pb2
from goticket.booking.v1.notification_data_pb2 import BookingDetails
from goticket_contracts.event_types import (
    BOOKING_CANCELLED,
    BOOKING_CONFIRMED,
    BOOKING_EXPIRED,
    BOOKING_HELD,
)
from goticket_documents.money import Money
from goticket_kernel.time_zones import TimeZone
from goticket_platform.messaging.consumer import ReceivedMessage
from notification.bookings import Booking, Event, Line, Ticket

BookingFactory = Callable[..., Booking]
DetailsFactory = Callable[..., BookingDetails]
MessageFactory = Callable[..., ReceivedMessage]

START = datetime(2027, 6, 12, 17, 30, tzinfo=UTC)
# As long as a signed code, with every character of its alphabet.
CODE = "GT1.7f3a9c." + "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_" * 4

_PAYLOADS = {
    BOOKING_HELD: events_pb2.BookingHeld,
    BOOKING_CONFIRMED: events_pb2.BookingConfirmed,
    BOOKING_CANCELLED: events_pb2.BookingCancelled,
    BOOKING_EXPIRED: events_pb2.BookingExpired,
}


@pytest.fixture
def make_booking() -> BookingFactory:
    """A factory of confirmed bookings with one line; keyword arguments change a part."""

    def make(
        *,
        name: str = "Metallica Live",
        place: str = "Olympiastadion, Berlin",
        buyer: str = "Ada Lovelace",
        email: str = "ada@buyers.example",
        ticket_type: str = "General Admission",
        price: Money | None = None,
        tickets: int = 2,
        zone: str = "Europe/Berlin",
        start: datetime = START,
        lasts: timedelta = timedelta(hours=3, minutes=30),
        version: int = 1,
        event_version: int = 1,
        was_confirmed: bool = True,
    ) -> Booking:
        price = price or Money(25000, "EUR")
        return Booking(
            id=UUID("0198c2f0-7b1e-7c3a-9d55-6f1a2b3c4d5f"),
            version=version,
            buyer_name=buyer,
            buyer_email=email,
            event=Event(name, place, TimeZone(zone), start, start + lasts, event_version),
            lines=(Line(ticket_type, tickets, price),),
            tickets=tuple(
                Ticket(
                    UUID(int=number), f"{CODE}.{number}", ticket_type, buyer, price, number, tickets
                )
                for number in range(1, tickets + 1)
            ),
            total=price.times(tickets),
            is_confirmed=was_confirmed,
            was_confirmed=was_confirmed,
        )

    return make


@pytest.fixture
def make_details() -> DetailsFactory:
    """A factory of a confirmed booking's details, as the booking service returns them."""

    def make(
        tickets: int = 2,
        *,
        version: int = 1,
        email: str = "ada@buyers.example",
        name: str = "Ada\r\nLovelace",
    ) -> BookingDetails:
        event = pb.EventSnapshot(
            id=str(uuid.uuid4()),
            name="Metallica Live",
            location="Berlin",
            timezone="Europe/Berlin",
            version=1,
        )
        event.starts_at.FromDatetime(START)
        event.ends_at.FromDatetime(START + timedelta(hours=3))
        booking = pb.Booking(
            id=str(uuid.uuid4()),
            event_id=event.id,
            user_id=str(uuid.uuid4()),
            buyer_email=email,
            buyer_name=name,
            status=pb.BOOKING_STATUS_CONFIRMED,
            items=[
                pb.BookingItem(
                    ticket_type_id="t1", ticket_type_name="Floor", quantity=tickets, unit_price=2500
                )
            ],
            total=2500 * tickets,
            currency="EUR",
            version=version,
            tickets=[
                pb.Ticket(
                    id=str(uuid.uuid4()),
                    code=f"code-{number}",
                    ticket_type_id="t1",
                    ticket_type_name="Floor",
                    status=pb.TICKET_STATUS_VALID,
                    holder_name="Ada Lovelace",
                )
                for number in range(tickets)
            ],
        )
        booking.confirmed_at.FromDatetime(START - timedelta(days=30))
        return BookingDetails(booking=booking, event=event)

    return make


@pytest.fixture
def make_message() -> MessageFactory:
    """A factory of messages about the booking in its present version."""

    def make(
        message_type: str, about: BookingDetails | None = None, payload: str | None = None
    ) -> ReceivedMessage:
        if payload is None:
            assert about is not None
            payload = json_format.MessageToJson(payload_about(message_type, about))
        return ReceivedMessage(
            id=uuid.uuid4(),
            type=message_type,
            source="/goticket/booking",
            subject="booking",
            version=1,
            occurred_at=START,
            payload=payload,
            headers={},
            attempt=1,
        )

    return make


@pytest.fixture
def make_payload() -> Callable[[str, BookingDetails], Message]:
    """A factory of the payload of a message about the booking."""
    return payload_about


def payload_about(message_type: str, about: BookingDetails) -> Message:
    """Return what booking publishes: ids, amounts and the version, no personal data."""
    booking = about.booking
    state = events_pb2.BookingState(
        id=booking.id,
        event_id=booking.event_id,
        lines=[
            events_pb2.BookedLine(
                ticket_type_id=item.ticket_type_id,
                quantity=item.quantity,
                unit_price=item.unit_price,
            )
            for item in booking.items
        ],
        user_id=booking.user_id,
        total=booking.total,
        currency=booking.currency,
        ticket_ids=[ticket.id for ticket in booking.tickets],
        version=booking.version,
    )
    return _PAYLOADS[message_type](booking=state)
