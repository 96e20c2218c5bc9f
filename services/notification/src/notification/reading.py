"""Reads booking events into notices: what is printed later is decided and cleaned here."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from uuid import UUID
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp
from goticket.booking.v1 import booking_pb2, events_pb2
from goticket_contracts import event_types
from goticket_documents.money import Money
from goticket_documents.sanitize import plain
from goticket_documents.times import known_zone
from goticket_platform.logs import get_logger
from goticket_platform.messaging.consumer import NonRetryableError, ReceivedMessage

from notification.bookings import Booking, Event, Kind, Line, Notice, Ticket

logger = get_logger(__name__)

_REASONS: Mapping[int, str] = MappingProxyType(
    {
        events_pb2.CANCELLATION_REASON_BY_BUYER: "You asked us to cancel it.",
        events_pb2.CANCELLATION_REASON_BY_ORGANIZER: "The organizer cancelled it.",
        events_pb2.CANCELLATION_REASON_EVENT_CANCELLED: "The event has been called off.",
    }
)


def read_notice(received: ReceivedMessage) -> Notice | None:
    """What the buyer must be told; None when the event is nothing to write about.

    Raises:
        NonRetryableError: the payload is no such event, or lacks what a letter needs.
    """
    read = _READERS.get(received.type)
    if read is None:
        return None
    try:
        return read(received)
    except (ValueError, KeyError) as error:
        raise NonRetryableError(f"the booking cannot be told: {error!r}") from error


def _confirmed(received: ReceivedMessage) -> Notice:
    payload = received.parse(events_pb2.BookingConfirmed)
    notice = Notice(Kind.TICKETS, _booking(payload.booking, payload.event))
    if not notice.booking.tickets:
        raise ValueError("confirmed without tickets")
    return notice


def _cancelled(received: ReceivedMessage) -> Notice:
    payload = received.parse(events_pb2.BookingCancelled)
    reason = _REASONS.get(payload.reason, "")
    return Notice(Kind.CANCELLATION, _booking(payload.booking, payload.event), reason)


def _expired(received: ReceivedMessage) -> Notice:
    payload = received.parse(events_pb2.BookingExpired)
    return Notice(Kind.EXPIRY, _booking(payload.booking, payload.event))


_READERS: Mapping[str, Callable[[ReceivedMessage], Notice]] = MappingProxyType(
    {
        event_types.BOOKING_CONFIRMED: _confirmed,
        event_types.BOOKING_CANCELLED: _cancelled,
        event_types.BOOKING_EXPIRED: _expired,
    }
)


def _booking(booking: booking_pb2.Booking, event: booking_pb2.EventSnapshot) -> Booking:
    lines = {item.ticket_type_id: _line(item, booking.currency) for item in booking.items}
    return Booking(
        id=UUID(booking.id),
        version=booking.version,
        buyer_name=plain(booking.buyer_name),
        buyer_email=booking.buyer_email.strip(),
        event=_event(event),
        lines=tuple(_line(item, booking.currency) for item in booking.items),
        tickets=tuple(
            Ticket(
                id=UUID(ticket.id),
                code=ticket.code,
                ticket_type=plain(ticket.ticket_type_name),
                holder=plain(ticket.holder_name),
                price=lines[ticket.ticket_type_id].unit_price,
                number=number,
                count=len(booking.tickets),
            )
            for number, ticket in enumerate(booking.tickets, start=1)
        ),
        total=Money(booking.total, plain(booking.currency)),
        was_confirmed=booking.HasField("confirmed_at"),
    )


def _line(item: booking_pb2.BookingItem, currency: str) -> Line:
    price = Money(item.unit_price, plain(currency))
    return Line(plain(item.ticket_type_name), item.quantity, price)


def _event(event: booking_pb2.EventSnapshot) -> Event:
    if not (event.HasField("starts_at") and event.HasField("ends_at")):
        raise ValueError("the event has no time")
    return Event(
        name=plain(event.name),
        place=plain(event.location),
        zone=_zone(event.timezone),
        starts_at=_moment(event.starts_at),
        ends_at=_moment(event.ends_at),
    )


def _moment(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=UTC)


def _zone(name: str) -> ZoneInfo:
    """A zone this machine's data does not know is told in UTC: late tickets would be worse."""
    zone = known_zone(name)
    if zone is None:
        logger.warning("unknown time zone", timezone=name)
    return zone or ZoneInfo("UTC")
