"""Rendering beside the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from uuid import UUID

import pytest
from notification.bookings import Booking, Notification, NotificationKind
from notification.email_rendering import Email, InvalidRecipient, SenderProfile
from notification.render_pool import INLINE_TICKETS, RenderPool

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


async def test_the_event_loop_is_not_blocked_by_a_large_email(
    pool: RenderPool, make_booking: MakeBooking
) -> None:
    email = asyncio.create_task(rendered(pool, make_booking(tickets=200)))
    turns = 0
    while not email.done():
        turns += 1
        await asyncio.sleep(0)

    assert turns > 1
    assert len(message_from_bytes((await email).content).get_payload()) == 202


async def test_only_a_large_email_uses_the_thread_and_closing_stops_it(
    make_booking: MakeBooking,
) -> None:
    pool = RenderPool(PROFILE)
    await rendered(pool, make_booking(tickets=INLINE_TICKETS))
    assert not any(thread.name.startswith("render") for thread in threading.enumerate())
    await rendered(pool, make_booking(tickets=INLINE_TICKETS + 1))
    assert any(thread.name.startswith("render") for thread in threading.enumerate())

    await pool.close()

    assert not any(thread.name.startswith("render") for thread in threading.enumerate())
