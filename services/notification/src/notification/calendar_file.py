"""Renders the calendar entry of a booking as iCalendar (RFC 5545)."""

from datetime import datetime, timedelta
from email.headerregistry import Address
from urllib.parse import quote

from goticket_documents.times import period_text
from icalendar import Calendar, vCalAddress, vText
from icalendar import Event as Entry

from notification.bookings import Booking, Notification, NotificationKind

PUBLISH = "PUBLISH"
CANCEL = "CANCEL"
_PRODUCT = "-//GoTicket//Notification//EN"

# RFC 5545, section 3.3.11. Python and many programs split lines at the last three of the line
# breaks as well. Other control characters are not allowed in a text (TSAFE-CHAR), and lone
# surrogates have no UTF-8 form.
_ESCAPES: dict[int, str | None] = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)]),
    ord("\t"): "\t",
    **{ord(character): f"\\{character}" for character in "\\;,"},
    **dict.fromkeys(map(ord, "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), r"\n"),
}
# RFC 6068: every other character of an address is percent-encoded.
_ADDRESS_CHARACTERS = "@!$'*+-._~"


class _Text(vText):
    """A text whose value is shown unchanged.

    The library takes a backslash before a capital N for a line break that was escaped before.
    """

    def to_ical(self) -> bytes:
        """Return the escaped value."""
        return self.replace("\r\n", "\n").translate(_ESCAPES).encode()


def calendar_method(kind: NotificationKind) -> str:
    """Return the iTIP method (RFC 5546) of the calendar file."""
    published = (NotificationKind.TICKETS, NotificationKind.EVENT_CHANGE)
    return PUBLISH if kind in published else CANCEL


def render_calendar(notification: Notification, organizer: Address, now: datetime) -> bytes:
    """Return a calendar with one entry per booking, whose UID is the booking's id.

    Times are in UTC, so no VTIMEZONE is needed; calendars show them in the reader's zone. The
    description has them in the event's zone. SEQUENCE is the sum of the booking's and the event's
    version: both only grow, so every later change of either supersedes the entry. `now` becomes
    DTSTAMP.
    """
    method = calendar_method(notification.kind)
    calendar = Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", method)
    for booking in notification.bookings:
        calendar.add_component(_entry(booking, method, organizer, now))
    content: bytes = calendar.to_ical()
    return content


def _entry(booking: Booking, method: str, organizer: Address, now: datetime) -> Entry:
    start, end = _seconds(booking.event.starts_at, booking.event.ends_at)
    entry = Entry()
    entry.add("uid", str(booking.id))
    entry.add("sequence", booking.version + booking.event.version)
    entry.add("dtstamp", now)
    entry.add("dtstart", start)
    entry.add("dtend", end)
    entry.add("summary", _Text(booking.event.name))
    entry.add("description", _Text(_description(booking)))
    if booking.event.place:
        entry.add("location", _Text(booking.event.place))
    entry.add("status", "CONFIRMED" if method == PUBLISH else "CANCELLED")
    entry.add("organizer", vCalAddress(f"mailto:{_uri_text(organizer)}"))
    return entry


def _seconds(starts_at: datetime, ends_at: datetime) -> tuple[datetime, datetime]:
    """Return start and end in whole seconds: the end is rounded up, and later than the start.

    RFC 5545, section 3.8.2.2 requires that; sections 3.3.5 and 3.3.12 have no fractions.
    """
    start = starts_at.replace(microsecond=0)
    end = ends_at.replace(microsecond=0)
    if end < ends_at or end <= start:
        end += timedelta(seconds=1)
    return start, end


def _description(booking: Booking) -> str:
    event = booking.event
    when = period_text(event.starts_at, event.ends_at, event.zone)
    return f"{when}\nBooking {booking.id}"


def _uri_text(address: Address) -> str:
    return quote(address.addr_spec, safe=_ADDRESS_CHARACTERS)
