"""The content of e-mails: a booking, its event and its tickets."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from goticket_documents.money import Money
from goticket_kernel.time_zones import TimeZone

LARGE_TICKETS = 4
"""An e-mail with more tickets is large: it has senders of its own, and is rendered beside the event
loop, so that it delays no other e-mail."""


class NotificationKind(StrEnum):
    """The kinds of e-mail."""

    TICKETS = "tickets"
    CANCELLATION = "cancellation"
    EXPIRY = "expiry"
    EVENT_CHANGE = "event_change"


@dataclass(frozen=True)
class Event:
    """The event of a booking. Texts are one line each; the place may be empty.

    `version` is the catalog's; it grows with every change.
    """

    name: str
    place: str
    zone: TimeZone
    starts_at: datetime
    ends_at: datetime
    version: int


@dataclass(frozen=True)
class Line:
    """A quantity of one ticket type at one price."""

    ticket_type: str
    quantity: int
    unit_price: Money

    @property
    def total(self) -> Money:
        """Price of the whole line."""
        return self.unit_price.times(self.quantity)


@dataclass(frozen=True)
class Ticket:
    """One valid admission: ticket `number` of `count` in its booking."""

    id: UUID
    code: str
    ticket_type: str
    holder: str
    price: Money
    number: int
    count: int


@dataclass(frozen=True)
class Booking:
    """A booking as it is when the e-mail is sent."""

    id: UUID
    version: int
    buyer_name: str
    buyer_email: str
    event: Event
    lines: tuple[Line, ...]
    tickets: tuple[Ticket, ...]
    total: Money
    is_confirmed: bool
    was_confirmed: bool


class CancellationCause(StrEnum):
    """Why a booking was cancelled."""

    BY_BUYER = "by_buyer"
    BY_ORGANIZER = "by_organizer"
    EVENT_CANCELLED = "event_cancelled"


@dataclass(frozen=True)
class NotificationRequest:
    """The e-mail that a message requests: ids and numbers, no personal data.

    `ticket_count` is the number of tickets to render. `traceparent` is the W3C trace context of
    the message. An e-mail about a change of the event has `event_before`: the event as the buyer
    knows it. It is about all bookings of the buyer for the event, and `booking_id` stands for
    both of them.
    """

    message_id: UUID
    kind: NotificationKind
    event_id: UUID
    booking_id: UUID
    booking_version: int
    buyer_id: UUID
    ticket_count: int = 0
    cause: CancellationCause | None = None
    traceparent: str | None = None
    event_before: Event | None = None


@dataclass(frozen=True)
class Notification:
    """The content of one e-mail. `reason` is a sentence, for cancellations.

    An e-mail about a change of the event has the event before it, and may be about several
    bookings of one buyer: `booking` and `further_bookings`.
    """

    kind: NotificationKind
    booking: Booking
    reason: str = ""
    event_before: Event | None = None
    further_bookings: tuple[Booking, ...] = ()

    @property
    def bookings(self) -> tuple[Booking, ...]:
        """All bookings that the e-mail is about."""
        return (self.booking, *self.further_bookings)
