"""The calendar entry, parsed again by a library that did not write it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from typing import Any

import pytest
import vobject
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from notification.bookings import Booking, Notification, NotificationKind
from notification.calendar_file import render_calendar

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
ORGANIZER = Address("GoTicket", "tickets", "goticket.example")
MakeBooking = Callable[..., Booking]


# Any character that a text can have in UTF-8, and those that RFC 5545 escapes more often.
TEXTS = st.text(
    st.one_of(st.sampled_from('\\nN;,: \r\n\t"^'), st.characters(exclude_categories=["Cs"])),
    min_size=1,
)


def calendar_of(notification: Notification) -> tuple[Any, Any]:
    # Any: vobject has no types.
    content = render_calendar(notification, ORGANIZER, NOW)
    calendar: Any = vobject.readOne(content.decode(), validate=True)
    (entry,) = calendar.vevent_list
    return calendar, entry


def values(content: bytes) -> dict[str, str]:
    """Return the raw values by property name, unfolded as RFC 5545, section 3.1 has it."""
    lines = content.decode().replace("\r\n ", "").replace("\r\n\t", "").split("\r\n")
    return dict(re.split("[:;]", line, maxsplit=1) for line in lines if line)


def unescaped(value: str) -> str:
    """Read a TEXT value by the grammar of RFC 5545, section 3.3.11."""
    assert re.fullmatch(r"""(?:[^\\;,\x00-\x08\x0a-\x1f\x7f]|\\[\\;,Nn])*""", value)
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] in "nN" else match[1], value)


def test_a_confirmed_booking_is_published(make_booking: MakeBooking) -> None:
    booking = make_booking()

    calendar, entry = calendar_of(Notification(NotificationKind.TICKETS, booking))

    assert calendar.method.value == "PUBLISH"
    assert calendar.version.value == "2.0"
    assert calendar.prodid.value
    assert entry.uid.value == str(booking.id)
    assert entry.dtstamp.value == NOW
    assert entry.dtstart.value == booking.event.starts_at
    assert entry.dtend.value == booking.event.ends_at
    assert entry.summary.value == "Metallica Live"
    assert entry.location.value == "Olympiastadion, Berlin"
    assert entry.status.value == "CONFIRMED"
    assert entry.organizer.value == "mailto:tickets@goticket.example"


def test_a_cancelled_booking_cancels_the_same_entry(make_booking: MakeBooking) -> None:
    _, published = calendar_of(Notification(NotificationKind.TICKETS, make_booking(version=1)))
    calendar, entry = calendar_of(
        Notification(NotificationKind.CANCELLATION, make_booking(version=2))
    )

    assert calendar.method.value == "CANCEL"
    assert entry.status.value == "CANCELLED"
    assert entry.uid.value == published.uid.value
    assert int(entry.sequence.value) > int(published.sequence.value)


@pytest.mark.parametrize("change", [{"version": 3}, {"event_version": 5}])
def test_every_later_version_of_booking_or_event_supersedes_the_entry(
    make_booking: MakeBooking, change: dict[str, int]
) -> None:
    versions = {"version": 2, "event_version": 4}
    _, before = calendar_of(Notification(NotificationKind.TICKETS, make_booking(**versions)))
    _, after = calendar_of(
        Notification(NotificationKind.TICKETS, make_booking(**{**versions, **change}))
    )

    assert after.uid.value == before.uid.value
    assert int(after.sequence.value) > int(before.sequence.value)


def test_the_description_has_the_time_in_the_events_zone(make_booking: MakeBooking) -> None:
    _, entry = calendar_of(
        Notification(NotificationKind.TICKETS, make_booking(zone="America/New_York"))
    )

    assert "Saturday, 12 June 2027, 13:30" in entry.description.value
    assert "America/New_York, EDT, UTC-04:00" in entry.description.value


def test_each_end_of_the_description_is_true_in_its_own_offset(make_booking: MakeBooking) -> None:
    start = datetime(2027, 10, 31, 0, 30, tzinfo=UTC)
    booking = make_booking(start=start, lasts=timedelta(minutes=45))

    _, entry = calendar_of(Notification(NotificationKind.TICKETS, booking))

    expected = "02:30 (CEST, UTC+02:00) \N{EN DASH} 02:15 (CET, UTC+01:00) (Europe/Berlin)"
    assert expected in entry.description.value


@pytest.mark.parametrize(
    "text",
    [
        "a; b, c\\ d",
        "BEGIN:VALARM",
        "x:y\\nz",
        "C:\\New\\Names",  # RFC 5545, section 3.3.11: "\\N" is a line break only if it is escaped
        "\\\\N",
        "\\",
        "line\nbreak",
        "日本 🎉 " * 40,
        "\\" * 200,
    ],
)
def test_any_name_is_parsed_back_unchanged(make_booking: MakeBooking, text: str) -> None:
    text = text.strip()

    _, entry = calendar_of(
        Notification(NotificationKind.TICKETS, make_booking(name=text, place=text))
    )

    assert entry.summary.value == text
    assert entry.location.value == text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
def test_every_text_follows_the_grammar_and_keeps_its_characters(
    make_booking: MakeBooking, text: str
) -> None:
    content = render_calendar(
        Notification(NotificationKind.TICKETS, make_booking(name=text, place=text)), ORGANIZER, NOW
    )

    for line in content.split(b"\r\n"):
        assert len(line) <= 75  # RFC 5545, section 3.1, in octets
        line.decode()  # no fold is inside of a character
    found = values(content)
    assert set(found) == {
        *("BEGIN", "END", "PRODID", "VERSION", "METHOD", "UID", "SEQUENCE", "DTSTAMP", "DTSTART"),
        *("DTEND", "SUMMARY", "DESCRIPTION", "LOCATION", "STATUS", "ORGANIZER"),
    }
    # Line breaks in all forms become one; control characters are not allowed and left out.
    expected = re.sub("\r\n|[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", "\n", text)
    expected = re.sub("[\x00-\x08\x0e-\x1b\x1f\x7f-\x9f]", "", expected)
    assert unescaped(found["SUMMARY"]) == unescaped(found["LOCATION"]) == expected


@pytest.mark.parametrize(
    ("start", "lasts", "expected"),
    [
        (timedelta(0), timedelta(0), (0, 1)),
        (timedelta(0), timedelta(microseconds=1), (0, 1)),
        (timedelta(milliseconds=200), timedelta(milliseconds=500), (0, 1)),
        (timedelta(milliseconds=900), timedelta(milliseconds=200), (0, 2)),
        (timedelta(0), timedelta(seconds=1), (0, 1)),
        (timedelta(milliseconds=500), timedelta(seconds=1), (0, 2)),
        (timedelta(0), timedelta(hours=1), (0, 3600)),
    ],
)
def test_the_end_is_rounded_up_and_later_than_the_start(
    make_booking: MakeBooking, start: timedelta, lasts: timedelta, expected: tuple[int, int]
) -> None:
    # RFC 5545, section 3.8.2.2: DTEND must be later than DTSTART. Its values are whole seconds.
    booking = make_booking(start=NOW + start, lasts=lasts)

    _, entry = calendar_of(Notification(NotificationKind.TICKETS, booking))

    moments = (entry.dtstart.value - NOW, entry.dtend.value - NOW)
    assert tuple(moment.total_seconds() for moment in moments) == expected


def test_the_organizers_address_is_a_uri(make_booking: MakeBooking) -> None:
    # RFC 6068, section 2: "%" and "?" of an address are percent-encoded.
    organizer = Address("GoTicket", "a%b?c", "goticket.example")

    content = render_calendar(
        Notification(NotificationKind.TICKETS, make_booking()), organizer, NOW
    )

    assert values(content)["ORGANIZER"] == "mailto:a%25b%3Fc@goticket.example"


def test_an_event_without_a_place_has_no_location(make_booking: MakeBooking) -> None:
    _, entry = calendar_of(Notification(NotificationKind.TICKETS, make_booking(place="")))

    assert not hasattr(entry, "location")
