"""Letters composed beside the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from uuid import UUID

import pytest
from notification.bookings import Booking, Kind, Notice
from notification.composing import SHORT, Composer
from notification.letters import Letter, Letterhead, Unaddressable

NOW = datetime(2027, 1, 1, tzinfo=UTC)
LETTERHEAD = Letterhead(Address("GoTicket", "tickets", "goticket.example"), "https://shop.example")
MakeBooking = Callable[..., Booking]


@pytest.fixture
async def composer() -> AsyncIterator[Composer]:
    composer = Composer()
    yield composer
    await composer.close()


async def composed(composer: Composer, booking: Booking, number: int = 1) -> Letter:
    notice = Notice(Kind.TICKETS, booking)
    return await composer.compose(LETTERHEAD, notice, UUID(int=number), NOW)


async def test_everybody_gets_the_letter_asked_for(
    composer: Composer, make_booking: MakeBooking
) -> None:
    numbers = (1, 2, SHORT, SHORT + 1, SHORT + 2)
    letters = await asyncio.gather(
        *(composed(composer, make_booking(tickets=number), number) for number in numbers)
    )
    for number, letter in zip(numbers, letters, strict=True):
        parts = message_from_bytes(letter.content).walk()
        kinds = [part.get_content_type() for part in parts]
        assert letter.smtp_message_id == f"<{UUID(int=number)}@goticket.example>"
        assert kinds.count("application/pdf") == number


async def test_what_is_wrong_with_a_letter_is_told_here(
    composer: Composer, make_booking: MakeBooking
) -> None:
    with pytest.raises(Unaddressable):
        await composed(composer, make_booking(email="nobody"))

    letter = await composed(composer, make_booking())
    assert letter.recipient == "ada@buyers.example"


async def test_the_event_loop_goes_on_while_a_long_letter_is_composed(
    composer: Composer, make_booking: MakeBooking
) -> None:
    letter = asyncio.create_task(composed(composer, make_booking(tickets=200)))
    turns = 0
    while not letter.done():
        turns += 1
        await asyncio.sleep(0)

    assert turns > 1
    assert len(message_from_bytes((await letter).content).get_payload()) == 202


async def test_only_a_long_letter_takes_a_thread_and_closing_ends_it(
    make_booking: MakeBooking,
) -> None:
    composer = Composer()
    await composed(composer, make_booking(tickets=SHORT))
    assert not any(thread.name.startswith("composer") for thread in threading.enumerate())
    await composed(composer, make_booking(tickets=SHORT + 1))
    assert any(thread.name.startswith("composer") for thread in threading.enumerate())

    await composer.close()

    assert not any(thread.name.startswith("composer") for thread in threading.enumerate())
