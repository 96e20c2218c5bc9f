"""A ticket as a one-page PDF to download."""

from datetime import UTC, datetime

from goticket.booking.v1 import booking_pb2 as pb
from goticket_documents.sanitize import sanitize_text
from goticket_documents.ticket_model import PrintableTicket
from goticket_documents.ticket_pdf import render_ticket
from goticket_kernel.time_zones import UTC_ZONE, find_time_zone


def ticket_pdf(ticket: pb.Ticket, made_at: datetime) -> bytes:
    """Draw the ticket as in the e-mail, without its price and its number in the booking.

    Times of an unknown time zone are shown in UTC.
    """
    return render_ticket(_printable(ticket), made_at)


def _printable(ticket: pb.Ticket) -> PrintableTicket:
    event = ticket.event
    return PrintableTicket(
        id=ticket.id,
        code=ticket.code,
        booking_reference=ticket.booking_id,
        event_name=sanitize_text(event.name),
        place=sanitize_text(event.location),
        zone=find_time_zone(event.timezone) or UTC_ZONE,
        starts_at=event.starts_at.ToDatetime(tzinfo=UTC),
        ends_at=event.ends_at.ToDatetime(tzinfo=UTC),
        holder=sanitize_text(ticket.holder_name),
        ticket_type=sanitize_text(ticket.ticket_type_name),
    )
