"""Bookings to write about."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from notification.bookings import Booking, Event, Line, Ticket
from notification.money import Money

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
