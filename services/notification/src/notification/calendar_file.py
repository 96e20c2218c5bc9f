"""Renders the calendar entry of a booking as iCalendar (RFC 5545)."""

from datetime import datetime
from email.headerregistry import Address

from goticket_documents.times import clock_span_text, date_text, zone_text
from icalendar import Calendar, vCalAddress
from icalendar import Event as Entry

from notification.bookings import Booking, Notification, NotificationKind

PUBLISH = "PUBLISH"
CANCEL = "CANCEL"
_PRODUCT = "-//GoTicket//Notification//EN"


def calendar_method(kind: NotificationKind) -> str:
    """Return the iTIP method (RFC 5546) of the calendar entry."""
    return PUBLISH if kind is NotificationKind.TICKETS else CANCEL


def render_calendar(notification: Notification, organizer: Address, now: datetime) -> bytes:
    """Return a calendar with one entry, whose UID is the booking's id.

    Times are in UTC, so no VTIMEZONE is needed; calendars show them in the reader's zone. The
    description has them in the event's zone. SEQUENCE is the booking's version: a cancellation
    has a higher one than the entry that it cancels.
    """
    booking, method = notification.booking, calendar_method(notification.kind)
    entry = Entry()
    entry.add("uid", str(booking.id))
    entry.add("sequence", booking.version)
    entry.add("dtstamp", now)
    entry.add("dtstart", booking.event.starts_at)
    entry.add("dtend", booking.event.ends_at)
    entry.add("summary", booking.event.name)
    entry.add("description", _description(booking))
    if booking.event.place:
        entry.add("location", booking.event.place)
    entry.add("status", "CONFIRMED" if method == PUBLISH else "CANCELLED")
    entry.add("organizer", vCalAddress(f"mailto:{organizer.addr_spec}"))

    calendar = Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", method)
    calendar.add_component(entry)
    content: bytes = calendar.to_ical()
    return content


def _description(booking: Booking) -> str:
    event = booking.event
    start = event.starts_at.astimezone(event.zone)
    span = clock_span_text(event.starts_at, event.ends_at, event.zone)
    when = f"{date_text(start)}, {span} ({zone_text(event.starts_at, event.zone)})"
    return f"{when}\nBooking {booking.id}"
