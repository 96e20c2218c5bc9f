"""What the e-mails are about: a booking as its events tell it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from goticket_documents.money import Money


@dataclass(frozen=True)
class Event:
    """The event booked. Texts are one line each; the place may be empty."""

    name: str
    place: str
    zone: ZoneInfo
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Line:
    """So many tickets of one type at one price."""

    ticket_type: str
    quantity: int
    unit_price: Money

    @property
    def total(self) -> Money:
        """Price of the whole line."""
        return self.unit_price.times(self.quantity)


@dataclass(frozen=True)
class Ticket:
    """One admission: the number-th of count in its booking."""

    id: UUID
    code: str
    ticket_type: str
    holder: str
    price: Money
    number: int
    count: int


@dataclass(frozen=True)
class Booking:
    """One buyer's order as it stood after the change that is told."""

    id: UUID
    version: int
    buyer_name: str
    buyer_email: str
    event: Event
    lines: tuple[Line, ...]
    tickets: tuple[Ticket, ...]
    total: Money
    was_confirmed: bool


class Kind(StrEnum):
    """Which letter an event asks for."""

    TICKETS = "tickets"
    CANCELLATION = "cancellation"
    EXPIRY = "expiry"


@dataclass(frozen=True)
class Notice:
    """Something a buyer must be told. reason is a sentence, for cancellations."""

    kind: Kind
    booking: Booking
    reason: str = ""
