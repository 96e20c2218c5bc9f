"""Bookings and tickets as JSON, and their way to and from booking's messages."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from google.protobuf.timestamp_pb2 import Timestamp
from goticket.booking.v1 import booking_pb2 as pb
from pydantic import Field

from gateway.rest.schemas import Answer, Body, EmailOut, Id, Page, Text, to_instant

MAX_QUANTITY = 2**31 - 1

_QUANTITY = Field(strict=True, ge=1, le=MAX_QUANTITY, examples=[2])


class BookingStatus(StrEnum):
    """Life of a booking."""

    HELD = "held"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REFUNDED = "refunded"

    @property
    def message(self) -> "pb.BookingStatus.ValueType":
        """The value of booking's enum."""
        return pb.BookingStatus.Value(f"BOOKING_STATUS_{self.name}")

    @classmethod
    def of(cls, status: "pb.BookingStatus.ValueType") -> "BookingStatus":
        """Translate from booking's message or enum."""
        return cls[pb.BookingStatus.Name(status).removeprefix("BOOKING_STATUS_")]


class TicketStatus(StrEnum):
    """Life of a ticket."""

    VALID = "valid"
    VOID = "void"
    CHECKED_IN = "checked_in"

    @property
    def message(self) -> "pb.TicketStatus.ValueType":
        """The value of booking's enum."""
        return pb.TicketStatus.Value(f"TICKET_STATUS_{self.name}")

    @classmethod
    def of(cls, status: "pb.TicketStatus.ValueType") -> "TicketStatus":
        """Translate from booking's message or enum."""
        return cls[pb.TicketStatus.Name(status).removeprefix("TICKET_STATUS_")]


TicketCode = Annotated[
    str | None,
    Field(
        exclude_if=lambda code: code is None,
        description="Signed code, as in the QR. Only the buyer gets it; left out if the ticket"
        " is void.",
        examples=["GT1.c2lnbmVk.Y29kZQ"],
    ),
]


def ticket_code(ticket: pb.Ticket) -> str | None:
    """Return the code of a ticket; None if it is void, or the caller is not its buyer."""
    return None if ticket.status == pb.TICKET_STATUS_VOID else ticket.code or None


class BookingLine(Body):
    """So many tickets of one type."""

    ticket_type_id: Text = Field(min_length=1, max_length=36)
    quantity: int = _QUANTITY


class BookingIn(Body):
    """The tickets to book: `quantity` of the event's only ticket type, or `items`."""

    quantity: int | None = Field(default=None, strict=True, ge=1, le=MAX_QUANTITY, examples=[2])
    items: list[BookingLine] | None = Field(default=None, min_length=1, max_length=50)
    hold: bool | None = Field(
        default=None, strict=True, description="Hold the tickets instead of confirming the booking."
    )


class BookingItemOut(Answer):
    """One line of a booking."""

    ticket_type_id: Id
    name: str = Field(examples=["General Admission"])
    quantity: int = Field(examples=[2])
    unit_price: int = Field(examples=[25000], description="Minor units (cents).")


class BookingTicketOut(Answer):
    """One admission of a booking."""

    id: Id
    code: TicketCode = None
    ticket_type_id: Id
    status: TicketStatus


class BookingOut(Answer):
    """One buyer's order; fields that do not apply are left out."""

    id: Id
    event_id: Id
    user_id: Id
    buyer_name: str = Field(examples=["Grace Hopper"])
    buyer_email: EmailOut
    status: BookingStatus
    items: Sequence[BookingItemOut]
    total: int = Field(examples=[50000], description="Minor units (cents).")
    currency: str = Field(examples=["EUR"])
    tickets: Sequence[BookingTicketOut] = Field(description="Empty until confirmed.")
    created_at: datetime
    expires_at: datetime | None = Field(default=None, description="End of the hold.")
    confirmed_at: datetime | None = None
    closed_at: datetime | None = Field(
        default=None, description="Time of the cancellation, refund or expiry."
    )

    @classmethod
    def of(cls, booking: pb.Booking) -> Self:
        """Translate from booking's message or enum."""
        return cls(
            id=booking.id,
            event_id=booking.event_id,
            user_id=booking.user_id,
            buyer_name=booking.buyer_name,
            buyer_email=booking.buyer_email,
            status=BookingStatus.of(booking.status),
            items=[_item(item) for item in booking.items],
            total=booking.total,
            currency=booking.currency,
            tickets=[_booking_ticket(ticket) for ticket in booking.tickets],
            created_at=to_instant(booking.created_at),
            expires_at=_if_set(booking.expires_at),
            confirmed_at=_if_set(booking.confirmed_at),
            closed_at=_if_set(booking.closed_at),
        )


def _item(item: pb.BookingItem) -> BookingItemOut:
    return BookingItemOut(
        ticket_type_id=item.ticket_type_id,
        name=item.ticket_type_name,
        quantity=item.quantity,
        unit_price=item.unit_price,
    )


def _booking_ticket(ticket: pb.Ticket) -> BookingTicketOut:
    return BookingTicketOut(
        id=ticket.id,
        code=ticket_code(ticket),
        ticket_type_id=ticket.ticket_type_id,
        status=TicketStatus.of(ticket.status),
    )


def _if_set(stamp: Timestamp) -> datetime | None:
    return to_instant(stamp) if stamp.ByteSize() else None


class BookingPage(Page):
    """Bookings, newest first."""

    items: Sequence[BookingOut]
