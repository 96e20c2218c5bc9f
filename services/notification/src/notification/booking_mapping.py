"""Maps the booking service's details of a booking to the values that e-mails print."""

from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from goticket.booking.v1 import booking_pb2, notification_data_pb2
from goticket.catalog.v1 import events_pb2
from goticket_documents.money import Money
from goticket_documents.sanitize import sanitize_text
from goticket_kernel.time_zones import UTC_ZONE, TimeZone, find_time_zone
from goticket_platform.logs import get_logger
from goticket_platform.messaging.consumer import NonRetryableError

from notification.bookings import Booking, Event, Line, Ticket

logger = get_logger(__name__)


def map_booking(details: notification_data_pb2.BookingDetails) -> Booking:
    """Return the booking with sanitized texts and its valid tickets.

    Raises:
        NonRetryableError: the details lack something that every e-mail prints.
    """
    try:
        return _booking(details.booking, map_event(details.event))
    except (ValueError, KeyError) as error:
        raise NonRetryableError(f"the booking's details are incomplete: {error!r}") from error


def _booking(booking: booking_pb2.Booking, event: Event) -> Booking:
    return Booking(
        id=UUID(booking.id),
        version=booking.version,
        buyer_name=sanitize_text(booking.buyer_name),
        buyer_email=booking.buyer_email.strip(),
        event=event,
        lines=tuple(_line(item, booking.currency) for item in booking.items),
        tickets=_tickets(booking),
        total=Money(booking.total, sanitize_text(booking.currency)),
        is_confirmed=booking.status == booking_pb2.BOOKING_STATUS_CONFIRMED,
        was_confirmed=booking.HasField("confirmed_at"),
    )


def _tickets(booking: booking_pb2.Booking) -> tuple[Ticket, ...]:
    """Return the tickets that still admit; a void ticket has no code."""
    prices = {item.ticket_type_id: item.unit_price for item in booking.items}
    valid = [
        ticket for ticket in booking.tickets if ticket.status != booking_pb2.TICKET_STATUS_VOID
    ]
    return tuple(
        Ticket(
            id=UUID(ticket.id),
            code=_code(ticket),
            ticket_type=sanitize_text(ticket.ticket_type_name),
            holder=sanitize_text(ticket.holder_name),
            price=Money(prices[ticket.ticket_type_id], sanitize_text(booking.currency)),
            number=number,
            count=len(valid),
        )
        for number, ticket in enumerate(valid, start=1)
    )


def _code(ticket: booking_pb2.Ticket) -> str:
    if not ticket.code:
        raise ValueError(f"ticket {ticket.id} has no code")
    return ticket.code


def _line(item: booking_pb2.BookingItem, currency: str) -> Line:
    price = Money(item.unit_price, sanitize_text(currency))
    return Line(sanitize_text(item.ticket_type_name), item.quantity, price)


def map_event(event: booking_pb2.EventSnapshot | events_pb2.EventState) -> Event:
    """Return the event with sanitized texts.

    Raises:
        ValueError: the event has no start or no end.
    """
    if not (event.HasField("starts_at") and event.HasField("ends_at")):
        raise ValueError("the event has no start or no end")
    return Event(
        name=sanitize_text(event.name),
        place=sanitize_text(event.location),
        zone=_zone(event.timezone),
        starts_at=_moment(event.starts_at),
        ends_at=_moment(event.ends_at),
        version=event.version,
    )


def _moment(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=UTC)


def _zone(name: str) -> TimeZone:
    """Return the zone, or UTC if it is unknown: times in UTC are better than no tickets."""
    zone = find_time_zone(name)
    if zone is None:
        logger.warning("unknown time zone", timezone=name)
    return zone or UTC_ZONE
