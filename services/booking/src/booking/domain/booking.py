"""Bookings: held -> confirmed -> cancelled | refunded, held -> expired | cancelled."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from booking.domain.errors import BookingClosed, HoldAlreadyExtended, HoldExpired


class BookingStatus(StrEnum):
    """State of a booking."""

    HELD = "held"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REFUNDED = "refunded"


class TicketStatus(StrEnum):
    """State of a ticket."""

    VALID = "valid"
    VOID = "void"
    CHECKED_IN = "checked_in"


class CancellationReason(StrEnum):
    """Reason of a cancellation."""

    BY_BUYER = "by_buyer"
    BY_ORGANIZER = "by_organizer"
    EVENT_CANCELLED = "event_cancelled"


@dataclass(frozen=True, slots=True)
class IssuedTicket:
    """A new ticket id with its signed code."""

    id: UUID
    code: str


IssueTicket = Callable[[UUID], IssuedTicket]
"""Issues a ticket for the event with this id."""


@dataclass(frozen=True, slots=True)
class BookingItem:
    """Tickets of one type in a booking, at the price when it was created (minor units)."""

    ticket_type_id: UUID
    ticket_type_name: str
    quantity: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """One admission.

    The code is empty if the ticket is void, because a scanner would accept it without a call,
    and if the reader may not have it.
    """

    id: UUID
    ticket_type_id: UUID
    code: str
    status: TicketStatus


@dataclass(frozen=True, slots=True)
class Booking:
    """One buyer's order. Every change returns a new value with the next version."""

    id: UUID
    event_id: UUID
    user_id: UUID
    buyer_email: str
    buyer_name: str
    status: BookingStatus
    items: tuple[BookingItem, ...]
    tickets: tuple[Ticket, ...]
    currency: str
    version: int
    created_at: datetime
    expires_at: datetime | None = None
    confirmed_at: datetime | None = None
    closed_at: datetime | None = None
    extended: bool = False
    """Whether the hold has been extended."""

    @property
    def total(self) -> int:
        """Price of all items in minor units."""
        return sum([item.quantity * item.unit_price for item in self.items])

    @property
    def is_open(self) -> bool:
        """Whether the booking still takes inventory."""
        return self.status in {BookingStatus.HELD, BookingStatus.CONFIRMED}

    def require_confirmable(self, now: datetime) -> bool:
        """Return whether the booking has to be confirmed; False if it is confirmed already.

        A hold past its end is rejected even before the sweeper has expired it.

        Raises:
            HoldExpired: the hold has expired.
            BookingClosed: the booking was cancelled or refunded.
        """
        if self.status is BookingStatus.CONFIRMED:
            return False
        if self.status is BookingStatus.EXPIRED or self._is_past_its_end(now):
            raise HoldExpired
        if self.status is not BookingStatus.HELD:
            raise BookingClosed
        return True

    def confirm(self, now: datetime, issue: IssueTicket) -> "BookingConfirmed":
        """Turn a hold that is confirmable into tickets. Signing them is expensive.

        Raises:
            HoldExpired, BookingClosed: see `require_confirmable`.
        """
        self.require_confirmable(now)
        return BookingConfirmed(
            replace(
                self,
                status=BookingStatus.CONFIRMED,
                tickets=issue_tickets(self.event_id, self.items, issue),
                version=self.version + 1,
                expires_at=None,
                confirmed_at=now,
            )
        )

    def extend(self, now: datetime, by: timedelta) -> "BookingHeld":
        """Extend a hold that has not expired. This is possible once.

        Raises:
            HoldExpired: the hold has expired.
            HoldAlreadyExtended: the hold was extended before.
            BookingClosed: the booking is no longer a hold.
        """
        if self.status is BookingStatus.EXPIRED or self._is_past_its_end(now):
            raise HoldExpired
        if self.status is not BookingStatus.HELD or self.expires_at is None:
            raise BookingClosed
        if self.extended:
            raise HoldAlreadyExtended
        return BookingHeld(
            replace(self, expires_at=self.expires_at + by, extended=True, version=self.version + 1)
        )

    def cancel(self, now: datetime, reason: CancellationReason) -> "BookingCancelled | None":
        """Cancel the booking; return None if it is cancelled already.

        Raises:
            BookingClosed: the booking expired or was refunded.
        """
        if self.status is BookingStatus.CANCELLED:
            return None
        if not self.is_open:
            raise BookingClosed
        return BookingCancelled(self._closed(BookingStatus.CANCELLED, now), reason)

    def expire(self, now: datetime) -> "BookingExpired | None":
        """Expire a hold past its end; return None for any other booking."""
        if not self._is_past_its_end(now):
            return None
        return BookingExpired(self._closed(BookingStatus.EXPIRED, now))

    def _is_past_its_end(self, now: datetime) -> bool:
        return (
            self.status is BookingStatus.HELD
            and self.expires_at is not None
            and now >= self.expires_at
        )

    def _closed(self, status: BookingStatus, now: datetime) -> "Booking":
        tickets = tuple(
            replace(ticket, status=TicketStatus.VOID, code="") for ticket in self.tickets
        )
        return replace(
            self,
            status=status,
            tickets=tickets,
            version=self.version + 1,
            expires_at=None,
            closed_at=now,
        )


@dataclass(frozen=True, slots=True)
class BookingHeld:
    """Tickets are held until the booking's `expires_at`."""

    booking: Booking


@dataclass(frozen=True, slots=True)
class BookingConfirmed:
    """The buyer has tickets."""

    booking: Booking


@dataclass(frozen=True, slots=True)
class BookingCancelled:
    """The booking's tickets are void and available again."""

    booking: Booking
    reason: CancellationReason


@dataclass(frozen=True, slots=True)
class BookingExpired:
    """A hold has expired and its tickets are available again."""

    booking: Booking


BookingChange = BookingHeld | BookingConfirmed | BookingCancelled | BookingExpired


def issue_tickets(
    event_id: UUID, items: tuple[BookingItem, ...], issue: IssueTicket
) -> tuple[Ticket, ...]:
    """Issue one ticket for every admission of `items`, in the order of the ticket ids.

    Stored tickets are read in that order, so a replayed response equals the first one.
    """
    admissions = [item for item in items for _ in range(item.quantity)]
    issued = sorted((issue(event_id) for _ in admissions), key=lambda ticket: ticket.id)
    return tuple(
        Ticket(ticket.id, item.ticket_type_id, ticket.code, TicketStatus.VALID)
        for item, ticket in zip(admissions, issued, strict=True)
    )
