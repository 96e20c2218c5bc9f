"""The e-mail about a change of an event, parsed again as a mail client does."""
# ruff: noqa: RUF001 - the en dash is meant

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest
import vobject
from goticket_kernel.time_zones import TimeZone
from notification.bookings import Booking, Event, Notification, NotificationKind
from notification.calendar_file import render_calendar
from notification.email_rendering import SenderProfile, render_email
from notification.event_differences import Difference, event_differences

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
PROFILE = SenderProfile(
    Address("GoTicket", "tickets", "goticket.example"), "https://goticket.example"
)
MakeBooking = Callable[..., Booking]


def change(before: Event, *bookings: Booking) -> Notification:
    return Notification(
        NotificationKind.EVENT_CHANGE,
        bookings[0],
        event_before=before,
        further_bookings=bookings[1:],
    )


def rendered(notification: Notification) -> tuple[EmailMessage, str, str]:
    email = render_email(PROFILE, notification, UUID(int=1), NOW)
    message = message_from_bytes(email.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    return message, text.get_content(), html.get_content()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"version": 9}, []),
        ({"name": "Other"}, [Difference("Name", "Metallica Live", "Other")]),
        ({"place": ""}, [Difference("Place", "Olympiastadion, Berlin", "not given")]),
        (
            {"zone": TimeZone("Europe/London")},
            [
                Difference(
                    "Date and time",
                    "Saturday, 12 June 2027, 19:30 – 23:00 (Europe/Berlin, CEST, UTC+02:00)",
                    "Saturday, 12 June 2027, 18:30 – 22:00 (Europe/London, BST, UTC+01:00)",
                )
            ],
        ),
        ({"starts_at": datetime(2027, 6, 12, 17, 30, 59, tzinfo=UTC)}, []),  # no clock shows it
    ],
)
def test_a_difference_is_what_buyers_can_see(
    make_booking: MakeBooking, fields: dict[str, Any], expected: list[Difference]
) -> None:
    event = make_booking().event

    assert event_differences(event, replace(event, **fields)) == expected


def test_text_and_html_have_both_states_and_all_bookings(make_booking: MakeBooking) -> None:
    first = make_booking(name="<Now> & here", place="Hamburg")
    second = replace(first, id=UUID(int=7))
    before = make_booking(name="Before").event

    message, text, html = rendered(change(before, first, second))

    assert message["Subject"] == "Your event has changed: <Now> & here"
    for expected in ("Before", "Olympiastadion, Berlin", "Hamburg", str(first.id), str(second.id)):
        assert expected in text
        assert expected in html
    assert "<Now> & here" in text
    assert "&lt;Now&gt; &amp; here" in html
    assert "<Now>" not in html
    assert "Your bookings and their tickets stay valid." in text
    assert "Date and time" not in text
    assert "Total" not in html


def test_the_calendar_file_has_the_entry_of_each_booking(make_booking: MakeBooking) -> None:
    first = make_booking(version=2, event_version=5, start=NOW + timedelta(days=1))
    second = replace(first, id=UUID(int=7), version=3)
    notification = change(make_booking().event, first, second)

    message, _, _ = rendered(notification)
    [part] = list(message.iter_attachments())
    calendar: Any = vobject.readOne(
        render_calendar(notification, PROFILE.sender, NOW).decode(), validate=True
    )

    assert part.get_filename() == "event.ics"
    assert part.get_param("method") == calendar.method.value == "PUBLISH"
    assert {entry.uid.value: int(entry.sequence.value) for entry in calendar.vevent_list} == {
        str(first.id): 7,
        str(second.id): 8,
    }
    for entry in calendar.vevent_list:
        assert entry.dtstart.value == NOW + timedelta(days=1)
        assert entry.status.value == "CONFIRMED"
