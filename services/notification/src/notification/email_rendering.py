"""Renders e-mails: text and HTML, with tickets and a calendar entry attached."""

import re
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import format_datetime
from uuid import UUID

from goticket_documents.money import price_text
from goticket_documents.ticket_model import PrintableTicket
from goticket_documents.ticket_pdf import missing_characters, render_ticket
from goticket_documents.times import period_text
from goticket_platform.messaging.consumer import NonRetryableError
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from notification.bookings import Booking, Notification, NotificationKind, Ticket
from notification.calendar_file import calendar_method, render_calendar
from notification.event_differences import Difference, event_differences
from notification.mime_message import Attachment, Headers, build_message

_TEMPLATES = Environment(
    loader=PackageLoader("notification"),
    autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    auto_reload=False,
)

# RFC 5322, section 3.2.3, and host names of RFC 1123.
_DOT_ATOM = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*", re.IGNORECASE | re.ASCII)

_SUBJECTS = {
    NotificationKind.TICKETS: "Your tickets for {}",
    NotificationKind.CANCELLATION: "Cancelled: your booking for {}",
    NotificationKind.EXPIRY: "Your hold for {} has expired",
    NotificationKind.EVENT_CHANGE: "Your event has changed: {}",
}


class InvalidRecipient(NonRetryableError):
    """The buyer's e-mail address is malformed."""


@dataclass(frozen=True)
class SenderProfile:
    """The sender and the shop's URL, the same in all e-mails."""

    sender: Address
    public_url: str


@dataclass(frozen=True)
class Email:
    """A rendered e-mail: SMTP envelope and content."""

    sender: str
    recipient: str
    smtp_message_id: str
    content: bytes

    @property
    def international(self) -> bool:
        """Whether the recipient needs a server with SMTPUTF8 (RFC 6531)."""
        return not self.recipient.isascii()


def smtp_message_id(profile: SenderProfile, message_id: UUID) -> str:
    """Return the Message-ID, the same in every attempt, so that a repeat is recognized."""
    return f"<{message_id}@{profile.sender.domain}>"


def render_email(
    profile: SenderProfile, notification: Notification, message_id: UUID, now: datetime
) -> Email:
    """Return the e-mail. It takes two to four milliseconds per ticket.

    Raises:
        InvalidRecipient: the buyer's address is malformed.
    """
    booking = notification.booking
    recipient = _address(booking.buyer_name, booking.buyer_email)
    smtp_id = smtp_message_id(profile, message_id)
    headers = Headers(
        sender=profile.sender,
        recipient=recipient,
        subject=_SUBJECTS[notification.kind].format(booking.event.name),
        others=(
            ("Date", format_datetime(now)),
            ("Message-ID", smtp_id),
            # RFC 3834: suppresses automatic replies.
            ("Auto-Submitted", "auto-generated"),
        ),
    )
    context = _template_context(profile, notification)
    text, html = (
        _TEMPLATES.get_template(f"{notification.kind}.{form}.j2").render(context)
        for form in ("txt", "html")
    )
    return Email(
        sender=profile.sender.addr_spec,
        recipient=recipient.addr_spec,
        smtp_message_id=smtp_id,
        content=build_message(headers, text, html, _attachments(profile, notification, now)),
    )


def missing_in_tickets(notification: Notification) -> int:
    """Return how many characters of the attached tickets no font has."""
    if notification.kind is not NotificationKind.TICKETS:
        return 0
    booking = notification.booking
    return sum(missing_characters(_printable(booking, ticket)) for ticket in booking.tickets)


def ticket_file_name(number: int) -> str:
    """Return the file name of the attachment with that ticket."""
    return f"ticket-{number}.pdf"


def _address(name: str, address: str) -> Address:
    """Return the mailbox with an ASCII domain (IDNA). The local part may be international."""
    local, _, domain = address.rpartition("@")
    if not address.isprintable():
        raise InvalidRecipient("the recipient's address is malformed")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
        if _DOT_ATOM.fullmatch(local) and _DOMAIN.fullmatch(ascii_domain):
            # The usual form; the library's parser would take longer than a PDF page.
            return Address(display_name=name, username=local, domain=ascii_domain)
        if local.isascii():
            return Address(display_name=name, addr_spec=f"{local}@{ascii_domain}")
    except (ValueError, IndexError, MessageError) as error:
        raise InvalidRecipient("the recipient's address is malformed") from error
    # The library's parser does not know RFC 6531; quoted international forms are rejected.
    if not local.isprintable() or set(local) & set(' "(),:;<>@[\\]') or not ascii_domain:
        raise InvalidRecipient("the recipient's address is malformed")
    return Address(display_name=name, username=local, domain=ascii_domain)


def _attachments(
    profile: SenderProfile, notification: Notification, now: datetime
) -> list[Attachment]:
    files = []
    if notification.kind is NotificationKind.TICKETS:
        for ticket in notification.booking.tickets:
            pdf = render_ticket(_printable(notification.booking, ticket), now)
            files.append(Attachment(ticket_file_name(ticket.number), "application/pdf", pdf))
    if notification.kind is not NotificationKind.EXPIRY:
        content_type = f"text/calendar; method={calendar_method(notification.kind)}; charset=utf-8"
        content = render_calendar(notification, profile.sender, now)
        files.append(Attachment("event.ics", content_type, content))
    return files


def _printable(booking: Booking, ticket: Ticket) -> PrintableTicket:
    return PrintableTicket(
        id=str(ticket.id),
        code=ticket.code,
        booking_reference=str(booking.id),
        event_name=booking.event.name,
        place=booking.event.place,
        zone=booking.event.zone,
        starts_at=booking.event.starts_at,
        ends_at=booking.event.ends_at,
        holder=ticket.holder,
        ticket_type=ticket.ticket_type,
        price=ticket.price,
        numbered=(ticket.number, ticket.count),
    )


def _changes(notification: Notification) -> list[Difference]:
    if notification.event_before is None:
        return []
    return event_differences(notification.event_before, notification.booking.event)


def _template_context(profile: SenderProfile, notification: Notification) -> dict[str, object]:
    """Return the variables of the templates, as text."""
    booking: Booking = notification.booking
    event = booking.event
    period = period_text(event.starts_at, event.ends_at, event.zone)
    return {
        "public_url": profile.public_url,
        "buyer": booking.buyer_name,
        "event": event.name,
        "place": event.place,
        "date": period.date,
        "hours": period.hours,
        "zone": period.zone,
        "lines": [
            {
                "quantity": line.quantity,
                "ticket_type": line.ticket_type,
                "unit_price": price_text(line.unit_price),
                "total": price_text(line.total),
            }
            for line in booking.lines
        ],
        "total": price_text(booking.total),
        "ticket_count": len(booking.tickets),
        "reference": ", ".join(str(each.id) for each in notification.bookings),
        "booking_count": len(notification.bookings),
        "changes": _changes(notification),
        "reason": notification.reason,
        "was_confirmed": booking.was_confirmed,
    }
