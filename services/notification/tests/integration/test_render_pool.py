"""Rendering beside the event loop."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from uuid import UUID

import psutil  # type: ignore[import-untyped]  # it has no annotations
import pytest
from notification.bookings import Booking, Notification, NotificationKind
from notification.email_rendering import Email, InvalidRecipient, SenderProfile
from notification.render_pool import INLINE_BOOKINGS, INLINE_TICKETS, RenderPool
from prometheus_client import REGISTRY

NOW = datetime(2027, 1, 1, tzinfo=UTC)
PROFILE = SenderProfile(Address("GoTicket", "tickets", "goticket.example"), "https://shop.example")
MakeBooking = Callable[..., Booking]


@pytest.fixture
async def pool() -> AsyncIterator[RenderPool]:
    pool = RenderPool(PROFILE)
    yield pool
    await pool.close()


async def rendered(pool: RenderPool, booking: Booking, number: int = 1) -> Email:
    notification = Notification(NotificationKind.TICKETS, booking)
    return await pool.render(notification, UUID(int=number), NOW)


async def test_concurrent_emails_have_their_own_tickets(
    pool: RenderPool, make_booking: MakeBooking
) -> None:
    numbers = (1, 2, INLINE_TICKETS, INLINE_TICKETS + 1, INLINE_TICKETS + 2)
    emails = await asyncio.gather(
        *(rendered(pool, make_booking(tickets=number), number) for number in numbers)
    )
    for number, email in zip(numbers, emails, strict=True):
        parts = message_from_bytes(email.content).walk()
        kinds = [part.get_content_type() for part in parts]
        assert email.smtp_message_id == f"<{UUID(int=number)}@goticket.example>"
        assert kinds.count("application/pdf") == number


async def test_an_invalid_recipient_fails_only_its_own_email(
    pool: RenderPool, make_booking: MakeBooking
) -> None:
    with pytest.raises(InvalidRecipient):
        await rendered(pool, make_booking(email="nobody"))

    email = await rendered(pool, make_booking())
    assert email.recipient == "ada@buyers.example"


async def test_an_invalid_recipient_of_a_large_email_is_reported_as_such(
    pool: RenderPool, make_booking: MakeBooking
) -> None:
    with pytest.raises(InvalidRecipient):
        await rendered(pool, make_booking(email="nobody", tickets=INLINE_TICKETS + 1))


async def test_the_event_loop_is_not_blocked_by_a_large_email(
    pool: RenderPool, make_booking: MakeBooking
) -> None:
    email = asyncio.create_task(rendered(pool, make_booking(tickets=200)))
    turns = 0
    while not email.done():
        turns += 1
        await asyncio.sleep(0.001)

    assert turns > 1
    assert len(message_from_bytes((await email).content).get_payload()) == 202


async def test_only_a_large_email_uses_a_process_and_closing_ends_it(
    make_booking: MakeBooking,
) -> None:
    pool = RenderPool(PROFILE)
    before = children()
    await rendered(pool, make_booking(tickets=INLINE_TICKETS))
    assert children() == before
    await rendered(pool, make_booking(tickets=INLINE_TICKETS + 1))
    assert len(children() - before) == 1

    await pool.close()

    assert children() == before


@pytest.mark.parametrize(
    ("bookings", "processes"), [(INLINE_BOOKINGS, 0), (1 + INLINE_BOOKINGS, 1)]
)
async def test_an_email_about_many_bookings_is_a_large_one(
    make_booking: MakeBooking, bookings: int, processes: int
) -> None:
    booking = make_booking(tickets=1 + INLINE_TICKETS)
    notification = Notification(
        NotificationKind.EVENT_CHANGE,
        booking,
        event_before=replace(booking.event, name="Before"),
        further_bookings=(booking,) * (bookings - 1),
    )
    pool = RenderPool(PROFILE)
    before = children()

    email = await pool.render(notification, UUID(int=1), NOW)

    assert len(children() - before) == processes
    parts = message_from_bytes(email.content).walk()
    [calendar] = [part for part in parts if part.get_content_type() == "text/calendar"]
    content = calendar.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert content.count(b"BEGIN:VEVENT") == bookings
    await pool.close()


async def test_a_killed_process_loses_no_email(make_booking: MakeBooking) -> None:
    pool = RenderPool(PROFILE)
    before = children()
    await rendered(pool, make_booking(tickets=INLINE_TICKETS + 1))
    (pid,) = children() - before

    email = asyncio.create_task(rendered(pool, make_booking(tickets=300)))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)

    assert len(message_from_bytes((await email).content).get_payload()) == 302
    await pool.close()


@pytest.mark.parametrize("tickets", [1, INLINE_TICKETS + 1])
async def test_characters_that_no_font_has_are_counted(
    pool: RenderPool, make_booking: MakeBooking, tickets: int
) -> None:
    before = missing()

    await rendered(pool, make_booking(name="\U00012000", tickets=tickets))

    assert missing() - before == tickets


def missing() -> float:
    value = REGISTRY.get_sample_value("goticket_notification_missing_characters_total")
    return value or 0


def children() -> set[int]:
    """Return the ids of this process's running children."""
    running = psutil.Process().children()
    return {child.pid for child in running if child.status() != psutil.STATUS_ZOMBIE}
