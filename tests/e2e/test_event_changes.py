"""Buyers are told when an event that they have booked has changed."""
# ruff: noqa: RUF001 - the en dash is meant

import email
import email.policy
from email.message import EmailMessage
from typing import Any

import httpx
import vobject
from goticket_testing.clients import (
    ApiUser,
    ApiUserFactory,
    Json,
    Mailbox,
    create_booking,
    create_event,
    eventually,
)

SUBJECT = "Your event has changed"


async def change(api: httpx.AsyncClient, organizer: ApiUser, event: Json, **fields: Any) -> None:
    response = await api.patch(
        f"/api/v1/events/{event['id']}", json=fields, headers=organizer.headers
    )
    assert response.status_code == 200, response.text


async def book(api: httpx.AsyncClient, buyer: ApiUser, event: Json, **body: Any) -> Json:
    response = await create_booking(api, buyer, event["id"], **body)
    assert response.status_code == 201, response.text
    booking: Json = response.json()
    return booking


async def emails(mailbox: Mailbox, buyer: ApiUser, subject: str) -> list[EmailMessage]:
    """The buyer's e-mails whose subject begins so, oldest first."""
    found = []
    for summary in reversed(await mailbox.messages_to(buyer.email)):
        raw = await mailbox.raw(summary["ID"])
        message = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        if message["Subject"].startswith(subject):
            found.append(message)
    return found


def entries(message: EmailMessage) -> dict[str, Any]:
    """The calendar's entries by UID."""
    (part,) = [each for each in message.walk() if each.get_content_type() == "text/calendar"]
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    calendar = vobject.readOne(content.decode())
    assert calendar.method.value == "PUBLISH"
    return {entry.uid.value: entry for entry in calendar.vevent_list}


async def test_a_series_of_changes_is_one_email_to_each_buyer(
    api: httpx.AsyncClient, organizer: ApiUser, users: ApiUserFactory, mailbox: Mailbox
) -> None:
    ann, bob, cleo, dan = (users.create() for _ in range(4))
    event = await create_event(
        api,
        organizer,
        name="Łódź Live",
        location="Atlas Arena",
        timezone="Europe/Warsaw",
        startAt="2028-06-10T18:00:00Z",
        endAt="2028-06-10T21:00:00Z",
    )
    other = await create_event(api, organizer)
    first, second = await book(api, ann, event), await book(api, ann, event, quantity=2)
    await book(api, bob, event)
    gone = await book(api, cleo, event)
    await api.post(f"/api/v1/bookings/{gone['id']}/cancel", headers=cleo.headers)
    await book(api, dan, other)
    await book(api, dan, event, quantity=1, hold=True)
    await eventually(lambda: _has(mailbox, ann, "Your tickets", 2))
    await eventually(lambda: _has(mailbox, bob, "Your tickets", 1))
    before = entries((await emails(mailbox, bob, "Your tickets"))[0])

    await change(api, organizer, event, name="Lodz Live")
    moved = {"startAt": "2028-06-11T18:00:00Z", "endAt": "2028-06-11T21:00:00Z"}
    await change(api, organizer, event, **moved)
    await change(api, organizer, event, name="Łódź Live", location="Manufaktura")
    await change(api, organizer, event, description="No effect on an e-mail.")

    await eventually(lambda: _has(mailbox, ann, SUBJECT, 1))
    await eventually(lambda: _has(mailbox, bob, SUBJECT, 1))
    # A second change, so that a further e-mail about the first would have arrived before.
    await change(api, organizer, event, location="Atlas Arena")
    await eventually(lambda: _has(mailbox, bob, SUBJECT, 2))
    await eventually(lambda: _has(mailbox, ann, SUBJECT, 2))

    [one, two] = await emails(mailbox, ann, SUBJECT)
    text = one.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has one
    html = one.get_body(("html",)).get_content()  # type: ignore[union-attr]  # it has one
    for content in (text, html):
        for expected in (
            "Saturday, 10 June 2028, 20:00 – 23:00 (Europe/Warsaw, CEST, UTC+02:00)",
            "Sunday, 11 June 2028, 20:00 – 23:00 (Europe/Warsaw, CEST, UTC+02:00)",
            "Atlas Arena",
            "Manufaktura",
            first["id"],
            second["id"],
        ):
            assert expected in content
        assert "Lodz" not in content
    assert "Name" not in text
    assert "Date and time" not in two.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has one
    assert set(entries(one)) == {first["id"], second["id"]}
    [bobs_one, bobs_two] = await emails(mailbox, bob, SUBJECT)
    ((uid, ticket),) = before.items()
    sequences = [int(entry.sequence.value) for entry in (ticket, entries(bobs_one)[uid])]
    sequences.append(int(entries(bobs_two)[uid].sequence.value))
    assert sequences == sorted(set(sequences))
    assert entries(bobs_one)[uid].dtstart.value.isoformat() == "2028-06-11T18:00:00+00:00"
    assert not await emails(mailbox, cleo, SUBJECT)
    assert not await emails(mailbox, dan, SUBJECT)


async def test_a_series_that_ends_where_it_began_is_not_announced(
    api: httpx.AsyncClient, organizer: ApiUser, buyer: ApiUser, mailbox: Mailbox
) -> None:
    event = await create_event(api, organizer, name="First name", status="draft")
    await change(api, organizer, event, location="Changed as a draft")
    await change(api, organizer, event, status="published")
    await book(api, buyer, event)
    await change(api, organizer, event, name="Second name")
    await change(api, organizer, event, name="First name")

    # A real change later: its e-mail has the first name on both sides.
    await eventually(lambda: _has(mailbox, buyer, "Your tickets", 1))
    await change(api, organizer, event, location="Another place")
    [message] = await eventually(lambda: emails(mailbox, buyer, SUBJECT))

    text = message.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has one
    assert "Second name" not in text
    assert "before: Changed as a draft" in text


async def _has(mailbox: Mailbox, buyer: ApiUser, subject: str, count: int) -> bool:
    return len(await emails(mailbox, buyer, subject)) == count
