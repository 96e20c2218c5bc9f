"""The calendar entry of a booking: iCalendar (RFC 5545) to publish or to withdraw."""

from datetime import datetime
from email.headerregistry import Address

from goticket_documents.times import clock_span_text, date_text, zone_text
from icalendar import Calendar, vCalAddress
from icalendar import Event as Entry

from notification.bookings import Booking, Kind, Notice

PUBLISH = "PUBLISH"
CANCEL = "CANCEL"
_PRODUCT = "-//GoTicket//Notification//EN"


def calendar_method(kind: Kind) -> str:
    """The iTIP method (RFC 5546) a letter's calendar entry has."""
    return PUBLISH if kind is Kind.TICKETS else CANCEL


def render_calendar(notice: Notice, organizer: Address, now: datetime) -> bytes:
    """One entry whose UID is the booking's id.

    Times are in UTC, which needs no VTIMEZONE and which every calendar shows in
    its reader's zone; the description says them in the event's. SEQUENCE is the
    booking's version, so that a withdrawal outranks what it withdraws.
    """
    booking, method = notice.booking, calendar_method(notice.kind)
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
