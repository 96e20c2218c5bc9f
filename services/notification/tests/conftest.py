"""Bookings to write about, and the events that tell of them."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1 import events_pb2
from goticket_documents.money import Money
from goticket_platform.messaging.consumer import ReceivedMessage
from notification.bookings import Booking, Event, Line, Ticket

BookingFactory = Callable[..., Booking]

START = datetime(2027, 6, 12, 17, 30, tzinfo=UTC)
# As long as a signed code is, with every character of its alphabet.
CODE = "GT1.7f3a9c." + "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_" * 4


@pytest.fixture
def make_booking() -> BookingFactory:
    """A factory of confirmed bookings of one line; keywords change a part."""

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
        lasts: timedelta = timedelta(hours=3, minutes=30),
        version: int = 1,
        was_confirmed: bool = True,
    ) -> Booking:
        price = price or Money(25000, "EUR")
        return Booking(
            id=UUID("0198c2f0-7b1e-7c3a-9d55-6f1a2b3c4d5f"),
            version=version,
            buyer_name=buyer,
            buyer_email=email,
            event=Event(name, place, ZoneInfo(zone), START, START + lasts),
            lines=(Line(ticket_type, tickets, price),),
            tickets=tuple(
                Ticket(
                    UUID(int=number), f"{CODE}.{number}", ticket_type, buyer, price, number, tickets
                )
                for number in range(1, tickets + 1)
            ),
            total=price.times(tickets),
            was_confirmed=was_confirmed,
        )

    return make


@pytest.fixture
def confirmed() -> Callable[..., events_pb2.BookingConfirmed]:
    """A factory of payloads: a booking of some tickets has just been confirmed."""

    def make(
        tickets: int = 2,
        *,
        booking_id: str | None = None,
        version: int = 4,
        email: str = "ada@buyers.example",
        name: str = "Ada\r\nLovelace",
    ) -> events_pb2.BookingConfirmed:
        event = pb.EventSnapshot(
            id=str(uuid.uuid4()), name="Metallica Live", location="Berlin", timezone="Europe/Berlin"
        )
        event.starts_at.FromDatetime(START)
        event.ends_at.FromDatetime(START + timedelta(hours=3))
        booking = pb.Booking(
            id=booking_id or str(uuid.uuid4()),
            event_id=event.id,
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
                    holder_name="Ada Lovelace",
                )
                for number in range(tickets)
            ],
        )
        booking.confirmed_at.FromDatetime(START - timedelta(days=30))
        return events_pb2.BookingConfirmed(booking=booking, event=event)

    return make


@pytest.fixture
def received() -> Callable[..., ReceivedMessage]:
    """A factory of events as they come from the queue."""

    def make(kind: str, payload: Message | str, message_id: UUID | None = None) -> ReceivedMessage:
        text = payload if isinstance(payload, str) else json_format.MessageToJson(payload)
        return ReceivedMessage(
            id=message_id or uuid.uuid4(),
            type=kind,
            source="/goticket/booking",
            subject="booking",
            version=1,
            occurred_at=START,
            payload=text,
            headers={},
            attempt=1,
        )

    return make
