"""The calendar entry, parsed again."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.headerregistry import Address
from typing import Any

import pytest
from icalendar import Calendar
from notification.bookings import Booking, Notification, NotificationKind
from notification.calendar_file import render_calendar

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
ORGANIZER = Address("GoTicket", "tickets", "goticket.example")
MakeBooking = Callable[..., Booking]


def calendar_of(notification: Notification) -> tuple[Any, Any]:
    # Any: the type of an iCalendar property is a union of thirty types.
    calendar: Any = Calendar.from_ical(render_calendar(notification, ORGANIZER, NOW))
    (entry,) = calendar.events
    return calendar, entry


def test_a_confirmed_booking_is_published(make_booking: MakeBooking) -> None:
    booking = make_booking()

    calendar, entry = calendar_of(Notification(NotificationKind.TICKETS, booking))

    assert calendar["METHOD"] == "PUBLISH"
    assert calendar["VERSION"] == "2.0"
    assert calendar["PRODID"]
    assert entry["UID"] == str(booking.id)
    assert entry["DTSTAMP"].dt == NOW
    assert entry.start == booking.event.starts_at
    assert entry.end == booking.event.ends_at
    assert entry["SUMMARY"] == "Metallica Live"
    assert entry["LOCATION"] == "Olympiastadion, Berlin"
    assert entry["STATUS"] == "CONFIRMED"
    assert entry["ORGANIZER"] == "mailto:tickets@goticket.example"


def test_a_cancelled_booking_cancels_the_same_entry(make_booking: MakeBooking) -> None:
    _, published = calendar_of(Notification(NotificationKind.TICKETS, make_booking(version=1)))
    calendar, entry = calendar_of(
        Notification(NotificationKind.CANCELLATION, make_booking(version=2))
    )

    assert calendar["METHOD"] == "CANCEL"
    assert entry["STATUS"] == "CANCELLED"
    assert entry["UID"] == published["UID"]
    assert entry["SEQUENCE"] > published["SEQUENCE"]


def test_the_description_has_the_time_in_the_events_zone(make_booking: MakeBooking) -> None:
    _, entry = calendar_of(
        Notification(NotificationKind.TICKETS, make_booking(zone="America/New_York"))
    )

    assert "Saturday, 12 June 2027, 13:30" in entry["DESCRIPTION"]
    assert "America/New_York, EDT, UTC-04:00" in entry["DESCRIPTION"]


@pytest.mark.parametrize("text", ["a; b, c\\ d", "BEGIN:VALARM", "x:y\\nz", "日本 🎉 " * 40])
def test_any_name_is_parsed_back_unchanged(make_booking: MakeBooking, text: str) -> None:
    text = text.strip()
    content = render_calendar(
        Notification(NotificationKind.TICKETS, make_booking(name=text, place=text)), ORGANIZER, NOW
    )

    entry: Any = Calendar.from_ical(content).walk("VEVENT")[0]

    assert entry["SUMMARY"] == text
    assert entry["LOCATION"] == text
    assert all(len(line) <= 75 for line in content.split(b"\r\n"))


def test_an_event_without_a_place_has_no_location(make_booking: MakeBooking) -> None:
    _, entry = calendar_of(Notification(NotificationKind.TICKETS, make_booking(place="")))

    assert "LOCATION" not in entry
