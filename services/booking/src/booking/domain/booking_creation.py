"""Decides one command to create a booking against the inventory of its event."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from goticket_kernel.actor import Actor
from goticket_kernel.errors import FieldError

from booking.domain.booking import (
    Booking,
    BookingConfirmed,
    BookingHeld,
    BookingItem,
    BookingStatus,
    IssueTicket,
    issue_tickets,
)
from booking.domain.buyer_usage import BuyerUsage
from booking.domain.errors import InvalidBooking, MaxPerBookingExceeded, UnknownTicketType
from booking.domain.inventory import EventInventory, TicketTypeInventory

MAX_LINES = 50
MAX_TICKETS = 100
"""Tickets of one booking over all types: as many as one e-mail can carry as attachments."""
MAX_KEY_LENGTH = 255
_VALID_KEY = re.compile(rf"[!-~]{{1,{MAX_KEY_LENGTH}}}")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A number of tickets of one type; None means the event's only type."""

    ticket_type_id: UUID | None
    quantity: int


@dataclass(frozen=True, slots=True)
class CreateBookingCommand:
    """A buyer's request for tickets. The idempotency key makes repeats safe."""

    event_id: UUID
    buyer: Actor
    lines: tuple[CommandLine, ...]
    hold: bool = False
    idempotency_key: str | None = None

    def require_well_formed(self) -> None:
        """Raise one error for all faults that do not depend on the event.

        Raises:
            InvalidBooking: no or too many lines, a quantity below 1, an invalid key.
        """
        problems = []
        if not self.lines:
            problems.append(FieldError("lines", "Must name at least one ticket type."))
        if len(self.lines) > MAX_LINES:
            problems.append(FieldError("lines", f"Must have at most {MAX_LINES} entries."))
        problems += [
            FieldError(_line_field(index, "quantity"), "Must be at least 1.")
            for index, line in enumerate(self.lines)
            if line.quantity < 1
        ]
        if self.idempotency_key is not None and not _VALID_KEY.fullmatch(self.idempotency_key):
            message = f"Must be 1 to {MAX_KEY_LENGTH} visible ASCII characters."
            problems.append(FieldError("idempotency_key", message))
        if problems:
            raise InvalidBooking(fields=problems)


def decide_booking(
    command: CreateBookingCommand,
    inventory: EventInventory,
    *,
    booking_id: UUID,
    now: datetime,
    hold_for: timedelta,
    issue: IssueTicket,
    usage: BuyerUsage | None = None,
    max_holds: int = 0,
) -> BookingConfirmed | BookingHeld:
    """Grant all lines of a well-formed command, or none.

    `usage` counts the tickets that the buyer has already. It is None if no limit applies.

    Raises:
        EventNotFound, EventCancelled, EventOver: the event is not on sale.
        InvalidBooking: a ticket type has to be named, or too many tickets in all.
        UnknownTicketType: a ticket type is not one of this event's.
        MaxPerBookingExceeded: too many of one type; lines of one type count together.
        TooManyHolds, MaxPerBuyerExceeded: a limit per buyer would be exceeded.
        SoldOut: not enough tickets of a type are available.
    """
    inventory.event.require_bookable(now)
    quantities = _quantities(command, inventory)
    if usage is not None:
        usage.require_within_limits(quantities, inventory, hold=command.hold, max_holds=max_holds)
    inventory.reserve(quantities, hold=command.hold)
    if usage is not None:
        usage.add(quantities, hold=command.hold)
    kinds = inventory.ticket_types
    items = tuple(
        BookingItem(kinds[type_id].id, kinds[type_id].name, quantity, kinds[type_id].price)
        for type_id, quantity in quantities.items()
    )
    held = command.hold
    booking = Booking(
        id=booking_id,
        event_id=inventory.event.id,
        user_id=command.buyer.user_id,
        buyer_email=command.buyer.email,
        buyer_name=command.buyer.name,
        status=BookingStatus.HELD if held else BookingStatus.CONFIRMED,
        items=items,
        tickets=() if held else issue_tickets(inventory.event.id, items, issue),
        currency=inventory.event.currency,
        version=1,
        created_at=now,
        expires_at=now + hold_for if held else None,
        confirmed_at=None if held else now,
    )
    return BookingHeld(booking) if held else BookingConfirmed(booking)


def require_grantable(
    command: CreateBookingCommand, inventory: EventInventory, now: datetime
) -> None:
    """Raise the error of `decide_booking` without the limits per buyer; change nothing.

    Raises:
        DomainError: as `decide_booking` does.
    """
    inventory.event.require_bookable(now)
    inventory.require_available(_quantities(command, inventory))


def _quantities(command: CreateBookingCommand, inventory: EventInventory) -> dict[UUID, int]:
    """Merge the lines by ticket type, in the order of the command."""
    quantities: dict[UUID, int] = {}
    for index, line in enumerate(command.lines):
        kind = _ticket_type(index, line, inventory)
        quantity = quantities.get(kind.id, 0) + line.quantity
        if quantity > kind.max_per_booking:
            message = f"Must be at most {kind.max_per_booking} per booking."
            raise MaxPerBookingExceeded(
                fields=[FieldError(_line_field(index, "quantity"), message)],
                metadata={"ticket_type_id": str(kind.id), "limit": str(kind.max_per_booking)},
            )
        quantities[kind.id] = quantity
    if sum(quantities.values()) > MAX_TICKETS:
        message = f"Must be at most {MAX_TICKETS} tickets in all."
        raise InvalidBooking(fields=[FieldError("lines", message)])
    return quantities


def _ticket_type(index: int, line: CommandLine, inventory: EventInventory) -> TicketTypeInventory:
    field = _line_field(index, "ticket_type_id")
    if line.ticket_type_id is None:
        offered = inventory.active_ticket_types
        if len(offered) != 1:
            message = "Must be given: the event has several ticket types."
            raise InvalidBooking(fields=[FieldError(field, message)])
        return offered[0]
    kind = inventory.ticket_types.get(line.ticket_type_id)
    if kind is None or not kind.active:
        raise UnknownTicketType(
            fields=[FieldError(field, "Is not a ticket type of this event.")],
            metadata={"ticket_type_id": str(line.ticket_type_id)},
        )
    return kind


def _line_field(index: int, name: str) -> str:
    return f"lines[{index}].{name}"
