"""Bookings as protobuf messages of the RPCs."""

from datetime import datetime
from functools import lru_cache
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from goticket.booking.v1 import booking_pb2, events_pb2

from booking.application.ports import TicketOfBooking
from booking.domain.booking import (
    Booking,
    BookingStatus,
    CancellationReason,
    TicketStatus,
)
from booking.domain.event import Event

TIMESTAMP_CACHE_SIZE = 4_096
"""Times whose conversion is cached: a batch repeats them in every booking."""

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


def event_snapshot(event: Event) -> booking_pb2.EventSnapshot:
    """Return the data of an event that goes with a booking."""
    return booking_pb2.EventSnapshot(
        id=str(event.id),
        name=event.name,
        location=event.location,
        timezone=event.timezone,
        starts_at=_timestamp(event.starts_at),
        ends_at=_timestamp(event.ends_at),
        organizer_id=str(event.organizer_id),
        version=event.version,
    )


def booking_message(booking: Booking, event: Event) -> booking_pb2.Booking:
    """Return a booking with its items and tickets."""
    message = booking_pb2.Booking()
    write_booking(booking, event_snapshot(event), message)
    return message


def write_booking(
    booking: Booking, snapshot: booking_pb2.EventSnapshot, message: booking_pb2.Booking
) -> None:
    """Write a booking into an empty message, which may be a field of another message.

    A message that is built first and then assigned to a field is copied at each level.
    """
    booking_id, event_id = str(booking.id), snapshot.id
    message.id = booking_id
    message.event_id = event_id
    message.user_id = str(booking.user_id)
    message.buyer_email = booking.buyer_email
    message.buyer_name = booking.buyer_name
    message.status = BOOKING_STATUS[booking.status]
    message.total = booking.total
    message.currency = booking.currency
    message.version = booking.version
    for when, stamp in (
        (booking.created_at, message.created_at),
        (booking.expires_at, message.expires_at),
        (booking.confirmed_at, message.confirmed_at),
        (booking.closed_at, message.closed_at),
    ):
        if when is not None:
            stamp.CopyFrom(_timestamp(when))
    names: dict[UUID, tuple[str, str]] = {}
    for item in booking.items:
        type_id = str(item.ticket_type_id)
        names[item.ticket_type_id] = type_id, item.ticket_type_name
        message.items.add(
            ticket_type_id=type_id,
            ticket_type_name=item.ticket_type_name,
            quantity=item.quantity,
            unit_price=item.unit_price,
        )
    for ticket in booking.tickets:
        type_id, type_name = names[ticket.ticket_type_id]
        message.tickets.add(
            id=str(ticket.id),
            booking_id=booking_id,
            event_id=event_id,
            ticket_type_id=type_id,
            ticket_type_name=type_name,
            code=ticket.code,
            status=TICKET_STATUS[ticket.status],
            holder_name=booking.buyer_name,
            event=snapshot,
        )


def write_ticket(
    found: TicketOfBooking, snapshot: booking_pb2.EventSnapshot, message: booking_pb2.Ticket
) -> None:
    """Write a ticket with the data that is printed on it into an empty message."""
    ticket = found.ticket
    message.id = str(ticket.id)
    message.booking_id = str(found.booking_id)
    message.event_id = snapshot.id
    message.ticket_type_id = str(ticket.ticket_type_id)
    message.ticket_type_name = found.ticket_type_name
    message.code = ticket.code
    message.status = TICKET_STATUS[ticket.status]
    message.holder_name = found.holder_name
    message.event.CopyFrom(snapshot)


@lru_cache(maxsize=TIMESTAMP_CACHE_SIZE)
def _timestamp(when: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(when)
    return stamp
