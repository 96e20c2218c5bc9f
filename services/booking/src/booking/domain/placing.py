"""Deciding one request for tickets against the stock of its event."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from booking.domain.actor import Actor
from booking.domain.booking import (
    Booking,
    BookingConfirmed,
    BookingHeld,
    BookingItem,
    BookingStatus,
    IssueTicket,
    issue_tickets,
)
from booking.domain.errors import (
    FieldError,
    InvalidBooking,
    MaxPerBookingExceeded,
    UnknownTicketType,
)
from booking.domain.limits import Taken
from booking.domain.stock import EventStock, TicketTypeStock

MAX_LINES = 50
MAX_TICKETS = 100
"""Tickets of one booking, over all types: as many as one letter can carry as attachments."""
MAX_KEY_LENGTH = 255
_FIT_KEY = re.compile(rf"[!-~]{{1,{MAX_KEY_LENGTH}}}")


@dataclass(frozen=True, slots=True)
class Line:
    """One wish: so many tickets of a type; None means the event's only type."""

    ticket_type_id: UUID | None
    quantity: int


@dataclass(frozen=True, slots=True)
class BookingRequest:
    """What one buyer asks for; `key` makes repeats safe, `trace` ties what follows to the call."""

    buyer: Actor
    lines: tuple[Line, ...]
    hold: bool = False
    key: str | None = None
    trace: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)

    def field(self, index: int, name: str) -> str:
        """Name a line's field as the buyer wrote it: `{quantity}` alone or inside `items`."""
        bare = len(self.lines) == 1 and self.lines[0].ticket_type_id is None
        return name if bare and name == "quantity" else f"items[{index}].{name}"

    def must_be_well_formed(self) -> None:
        """Raise for what is wrong whatever the event, all of it at once.

        Raises:
            InvalidBooking: no or too many lines, a quantity below 1, an unfit key.
        """
        problems = []
        if not self.lines:
            problems.append(FieldError("items", "Must name at least one ticket type."))
        if len(self.lines) > MAX_LINES:
            problems.append(FieldError("items", f"Must have at most {MAX_LINES} entries."))
        problems += [
            FieldError(self.field(index, "quantity"), "Must be at least 1.")
            for index, line in enumerate(self.lines)
            if line.quantity < 1
        ]
        if self.key is not None and not _is_fit_key(self.key):
            problems.append(
                FieldError(
                    "Idempotency-Key",
                    f"Must be 1 to {MAX_KEY_LENGTH} visible ASCII characters.",
                )
            )
        if problems:
            raise InvalidBooking(fields=problems)


def place(
    request: BookingRequest,
    stock: EventStock,
    *,
    booking_id: UUID,
    now: datetime,
    hold_for: timedelta,
    issue: IssueTicket,
    taken: Taken | None = None,
    max_holds: int = 0,
) -> BookingConfirmed | BookingHeld:
    """Grant all lines of a well-formed request, or none.

    `taken` is what the buyer has already; it may be left out where nothing limits that.

    Raises:
        EventNotFound, EventCancelled, EventOver: nothing is on sale.
        InvalidBooking: which of several ticket types is not said; too many in all.
        UnknownTicketType: not one of this event's.
        MaxPerBookingExceeded: too many of one type; lines of one type count together.
        TooManyHolds, MaxPerBuyerExceeded: more than one buyer may have.
        SoldOut: not enough are left.
    """
    stock.event.must_be_bookable(now)
    quantities = _quantities(request, stock)
    if taken is not None:
        taken.must_leave_room(quantities, stock, hold=request.hold, max_holds=max_holds)
    stock.take(quantities, hold=request.hold)
    if taken is not None:
        taken.add(quantities, hold=request.hold)
    kinds = stock.ticket_types
    items = tuple(
        BookingItem(kinds[type_id].id, kinds[type_id].name, quantity, kinds[type_id].price)
        for type_id, quantity in quantities.items()
    )
    held = request.hold
    booking = Booking(
        id=booking_id,
        event_id=stock.event.id,
        user_id=request.buyer.user_id,
        buyer_email=request.buyer.email,
        buyer_name=request.buyer.name,
        status=BookingStatus.HELD if held else BookingStatus.CONFIRMED,
        items=items,
        tickets=() if held else issue_tickets(stock.event.id, items, issue),
        currency=stock.event.currency,
        version=1,
        created_at=now,
        expires_at=now + hold_for if held else None,
        confirmed_at=None if held else now,
    )
    return BookingHeld(booking) if held else BookingConfirmed(booking)


def must_be_possible(request: BookingRequest, stock: EventStock, now: datetime) -> None:
    """Raise what `place` would, limits of one buyer aside; nothing changes.

    Raises:
        DomainError: as `place` does.
    """
    stock.event.must_be_bookable(now)
    stock.must_have(_quantities(request, stock))


def _quantities(request: BookingRequest, stock: EventStock) -> dict[UUID, int]:
    """Merge the lines by ticket type, in the order asked for."""
    quantities: dict[UUID, int] = {}
    for index, line in enumerate(request.lines):
        kind = _ticket_type(request, index, line, stock)
        wanted = quantities.get(kind.id, 0) + line.quantity
        if wanted > kind.max_per_booking:
            raise MaxPerBookingExceeded(
                fields=[
                    FieldError(
                        request.field(index, "quantity"),
                        f"Must be at most {kind.max_per_booking} per booking.",
                    )
                ],
                metadata={"ticketTypeId": str(kind.id), "limit": str(kind.max_per_booking)},
            )
        quantities[kind.id] = wanted
    if sum(quantities.values()) > MAX_TICKETS:
        message = f"Must be at most {MAX_TICKETS} tickets in all."
        raise InvalidBooking(fields=[FieldError("items", message)])
    return quantities


def _ticket_type(
    request: BookingRequest, index: int, line: Line, stock: EventStock
) -> TicketTypeStock:
    name = request.field(index, "ticketTypeId")
    if line.ticket_type_id is None:
        offered = stock.on_offer
        if len(offered) != 1:
            message = "Must be given: the event has several ticket types."
            raise InvalidBooking(fields=[FieldError(name, message)])
        return offered[0]
    kind = stock.ticket_types.get(line.ticket_type_id)
    if kind is None or not kind.active:
        raise UnknownTicketType(
            fields=[FieldError(name, "Is not a ticket type of this event.")],
            metadata={"ticketTypeId": str(line.ticket_type_id)},
        )
    return kind


def _is_fit_key(key: str) -> bool:
    return _FIT_KEY.fullmatch(key) is not None
