"""Bookings as protobuf messages: the same in gRPC answers and in integration events."""

from datetime import datetime
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp
from goticket.booking.v1 import booking_pb2, events_pb2

from booking.application.ports import TicketOfBooking
from booking.domain.booking import (
    Booking,
    BookingStatus,
    CancellationReason,
    Ticket,
    TicketStatus,
)
from booking.domain.event import Event

REMEMBERED = 4_096
"""Events, and moments, that are converted only once: a batch repeats them in every booking."""

BOOKING_STATUS = {
    BookingStatus.HELD: booking_pb2.BOOKING_STATUS_HELD,
    BookingStatus.CONFIRMED: booking_pb2.BOOKING_STATUS_CONFIRMED,
    BookingStatus.CANCELLED: booking_pb2.BOOKING_STATUS_CANCELLED,
    BookingStatus.EXPIRED: booking_pb2.BOOKING_STATUS_EXPIRED,
    BookingStatus.REFUNDED: booking_pb2.BOOKING_STATUS_REFUNDED,
}
TICKET_STATUS = {
    TicketStatus.VALID: booking_pb2.TICKET_STATUS_VALID,
    TicketStatus.VOID: booking_pb2.TICKET_STATUS_VOID,
    TicketStatus.CHECKED_IN: booking_pb2.TICKET_STATUS_CHECKED_IN,
}
CANCELLATION_REASON = {
    CancellationReason.BY_BUYER: events_pb2.CANCELLATION_REASON_BY_BUYER,
    CancellationReason.BY_ORGANIZER: events_pb2.CANCELLATION_REASON_BY_ORGANIZER,
    CancellationReason.EVENT_CANCELLED: events_pb2.CANCELLATION_REASON_EVENT_CANCELLED,
}


@lru_cache(maxsize=REMEMBERED)
def event_snapshot(event: Event) -> booking_pb2.EventSnapshot:
    """Tell what a booking remembers of its event; to be copied, not changed."""
    return booking_pb2.EventSnapshot(
        id=str(event.id),
        name=event.name,
        location=event.location,
        timezone=event.timezone,
        starts_at=_timestamp(event.starts_at),
        ends_at=_timestamp(event.ends_at),
        organizer_id=str(event.organizer_id),
    )


def booking_message(booking: Booking, event: Event) -> booking_pb2.Booking:
    """Tell all of a booking, tickets included."""
    snapshot, booking_id = event_snapshot(event), str(booking.id)
    names = {item.ticket_type_id: item.ticket_type_name for item in booking.items}
    return booking_pb2.Booking(
        id=booking_id,
        event_id=snapshot.id,
        user_id=str(booking.user_id),
        buyer_email=booking.buyer_email,
        buyer_name=booking.buyer_name,
        status=BOOKING_STATUS[booking.status],
        items=[
            booking_pb2.BookingItem(
                ticket_type_id=str(item.ticket_type_id),
                ticket_type_name=item.ticket_type_name,
                quantity=item.quantity,
                unit_price=item.unit_price,
            )
            for item in booking.items
        ],
        total=booking.total,
        currency=booking.currency,
        tickets=[
            _ticket(
                ticket,
                booking_id=booking_id,
                ticket_type_name=names[ticket.ticket_type_id],
                holder_name=booking.buyer_name,
                event=snapshot,
            )
            for ticket in booking.tickets
        ],
        created_at=_timestamp(booking.created_at),
        expires_at=_timestamp(booking.expires_at),
        version=booking.version,
        confirmed_at=_timestamp(booking.confirmed_at),
        closed_at=_timestamp(booking.closed_at),
    )


def ticket_message(found: TicketOfBooking) -> booking_pb2.Ticket:
    """Tell what is printed on a ticket."""
    return _ticket(
        found.ticket,
        booking_id=str(found.booking_id),
        ticket_type_name=found.ticket_type_name,
        holder_name=found.holder_name,
        event=event_snapshot(found.event),
    )


def _ticket(
    ticket: Ticket,
    *,
    booking_id: str,
    ticket_type_name: str,
    holder_name: str,
    event: booking_pb2.EventSnapshot,
) -> booking_pb2.Ticket:
    return booking_pb2.Ticket(
        id=str(ticket.id),
        booking_id=booking_id,
        event_id=event.id,
        ticket_type_id=str(ticket.ticket_type_id),
        ticket_type_name=ticket_type_name,
        code=ticket.code,
        status=TICKET_STATUS[ticket.status],
        holder_name=holder_name,
        event=event,
    )


@lru_cache(maxsize=REMEMBERED)
def _timestamp(when: datetime | None) -> Timestamp | None:
    if when is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(when)
    return stamp
