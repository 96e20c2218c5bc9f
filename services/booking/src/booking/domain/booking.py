"""A booking's life: held -> confirmed -> cancelled | refunded, held -> expired | cancelled."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from booking.domain.actor import Actor
from booking.domain.errors import (
    BookingClosed,
    EventStarted,
    HoldAlreadyExtended,
    HoldExpired,
)
from booking.domain.event import Event


class BookingStatus(StrEnum):
    """Where a booking is in its life."""

    HELD = "held"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REFUNDED = "refunded"


class TicketStatus(StrEnum):
    """Whether a ticket still admits."""

    VALID = "valid"
    VOID = "void"
    CHECKED_IN = "checked_in"


class CancellationReason(StrEnum):
    """Why a booking was cancelled."""

    BY_BUYER = "by_buyer"
    BY_ORGANIZER = "by_organizer"
    EVENT_CANCELLED = "event_cancelled"


@dataclass(frozen=True, slots=True)
class TicketStub:
    """A fresh ticket id and the signed code that goes with it."""

    id: UUID
    code: str


IssueTicket = Callable[[UUID], TicketStub]
"""Makes a ticket for the event of this id."""


@dataclass(frozen=True, slots=True)
class BookingItem:
    """So many tickets of one type, at the price of the moment of booking (minor units)."""

    ticket_type_id: UUID
    ticket_type_name: str
    quantity: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """One admission."""

    id: UUID
    ticket_type_id: UUID
    code: str
    status: TicketStatus


@dataclass(frozen=True, slots=True)
class Booking:
    """One buyer's order. Every change makes a new value whose version is one higher."""

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
    """Whether the hold has been lengthened."""

    @property
    def total(self) -> int:
        """What all of it costs, in minor units."""
        return sum([item.quantity * item.unit_price for item in self.items])

    @property
    def is_open(self) -> bool:
        """Whether the booking still takes stock."""
        return self.status in {BookingStatus.HELD, BookingStatus.CONFIRMED}

    def confirm(self, now: datetime, issue: IssueTicket) -> "BookingConfirmed | None":
        """Turn a hold into tickets; None when that has happened before.

        A hold past its end is refused even when the sweeper has not come by yet.

        Raises:
            HoldExpired: it ran out.
            BookingClosed: it was cancelled or refunded.
        """
        if self.status is BookingStatus.CONFIRMED:
            return None
        if self.status is BookingStatus.EXPIRED or self._has_run_out(now):
            raise HoldExpired
        if self.status is not BookingStatus.HELD:
            raise BookingClosed
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
        """Hold for longer: once, while it lasts.

        Raises:
            HoldExpired: it ran out.
            HoldAlreadyExtended: it was lengthened before.
            BookingClosed: it is no hold any more.
        """
        if self.status is BookingStatus.EXPIRED or self._has_run_out(now):
            raise HoldExpired
        if self.status is not BookingStatus.HELD or self.expires_at is None:
            raise BookingClosed
        if self.extended:
            raise HoldAlreadyExtended
        return BookingHeld(
            replace(self, expires_at=self.expires_at + by, extended=True, version=self.version + 1)
        )

    def cancel(self, now: datetime, reason: CancellationReason) -> "BookingCancelled | None":
        """Give the booking up; None when that has happened before.

        Raises:
            BookingClosed: it expired or was refunded.
        """
        if self.status is BookingStatus.CANCELLED:
            return None
        if not self.is_open:
            raise BookingClosed
        return BookingCancelled(self._closed(BookingStatus.CANCELLED, now), reason)

    def expire(self, now: datetime) -> "BookingExpired | None":
        """End a hold that has run out; None when there is nothing to end."""
        if not self._has_run_out(now):
            return None
        return BookingExpired(self._closed(BookingStatus.EXPIRED, now))

    def _has_run_out(self, now: datetime) -> bool:
        return (
            self.status is BookingStatus.HELD
            and self.expires_at is not None
            and now >= self.expires_at
        )

    def _closed(self, status: BookingStatus, now: datetime) -> "Booking":
        tickets = tuple(replace(ticket, status=TicketStatus.VOID) for ticket in self.tickets)
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
    """Stock is set aside until the booking's `expires_at`."""

    booking: Booking


@dataclass(frozen=True, slots=True)
class BookingConfirmed:
    """The buyer has tickets."""

    booking: Booking


@dataclass(frozen=True, slots=True)
class BookingCancelled:
    """The booking is void and its stock back."""

    booking: Booking
    reason: CancellationReason


@dataclass(frozen=True, slots=True)
class BookingExpired:
    """A hold ran out and its stock is back."""

    booking: Booking


BookingEvent = BookingHeld | BookingConfirmed | BookingCancelled | BookingExpired


def issue_tickets(
    event_id: UUID, items: tuple[BookingItem, ...], issue: IssueTicket
) -> tuple[Ticket, ...]:
    """Make one ticket for every admission of `items`, in the order of the ticket ids.

    Stored tickets are read back in that order: a repeated answer equals the first.
    """
    admissions = [item for item in items for _ in range(item.quantity)]
    stubs = sorted((issue(event_id) for _ in admissions), key=lambda stub: stub.id)
    return tuple(
        Ticket(stub.id, item.ticket_type_id, stub.code, TicketStatus.VALID)
        for item, stub in zip(admissions, stubs, strict=True)
    )


def cancellation_by(
    actor: Actor, booking: Booking, event: Event, now: datetime
) -> CancellationReason:
    """Decide whether `actor` may give `booking` up, and as whom.

    Buyers keep what they hold once the event has started: no refund after the
    first song. The organizer and admins may cancel at any time.

    Raises:
        Forbidden: it is neither theirs nor an event of theirs.
        EventStarted: a buyer gives up a confirmed booking too late.
    """
    actor.must_be_one_of(booking.user_id, event.organizer_id)
    if actor.user_id == event.organizer_id or actor.is_admin:
        own = actor.user_id == booking.user_id
        return CancellationReason.BY_BUYER if own else CancellationReason.BY_ORGANIZER
    if booking.status is BookingStatus.CONFIRMED and now >= event.starts_at:
        raise EventStarted
    return CancellationReason.BY_BUYER
