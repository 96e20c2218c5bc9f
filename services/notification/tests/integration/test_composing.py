"""Letters composed in other processes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from concurrent.futures import BrokenExecutor
from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from uuid import UUID

import pytest
from notification import composing
from notification.bookings import Booking, Kind, Notice
from notification.composing import ProcessComposer
from notification.letters import Letter, Letterhead, Unaddressable

NOW = datetime(2027, 1, 1, tzinfo=UTC)
LETTERHEAD = Letterhead(Address("GoTicket", "tickets", "goticket.example"), "https://shop.example")
MakeBooking = Callable[..., Booking]


@pytest.fixture
async def composer() -> AsyncIterator[ProcessComposer]:
    composer = ProcessComposer(2)
    yield composer
    await composer.close()


async def composed(composer: ProcessComposer, booking: Booking, number: int = 1) -> Letter:
    notice = Notice(Kind.TICKETS, booking)
    return await composer.compose(LETTERHEAD, notice, UUID(int=number), NOW)


async def composed_until_it_fails(composer: ProcessComposer, booking: Booking) -> None:
    async with asyncio.timeout(30):
        while True:
            await composed(composer, booking)


async def test_letters_are_composed_side_by_side(
    composer: ProcessComposer, make_booking: MakeBooking
) -> None:
    letters = await asyncio.gather(
        *(composed(composer, make_booking(tickets=number), number) for number in range(1, 6))
    )
    for number, letter in enumerate(letters, start=1):
        parts = message_from_bytes(letter.content).walk()
        kinds = [part.get_content_type() for part in parts]
        assert letter.message_id == f"<{UUID(int=number)}@goticket.example>"
        assert kinds.count("application/pdf") == number


async def test_what_is_wrong_with_a_letter_is_told_here(
    composer: ProcessComposer, make_booking: MakeBooking
) -> None:
    with pytest.raises(Unaddressable):
        await composed(composer, make_booking(email="nobody"))


async def test_a_process_that_dies_fails_its_letter_and_the_next_gets_another(
    composer: ProcessComposer, make_booking: MakeBooking
) -> None:
    await composed(composer, make_booking())
    for process in list(composer._pool._processes.values()):
        os.kill(process.pid or 0, signal.SIGKILL)
    with pytest.raises(BrokenExecutor):
        await composed_until_it_fails(composer, make_booking())

    letter = await composed(composer, make_booking())
    assert letter.recipient == "ada@buyers.example"


def test_a_composing_process_outlives_the_signals_that_stop_a_worker() -> None:
    kept = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        composing._follow_the_parent()
        assert {signal.getsignal(each) for each in kept} == {signal.SIG_IGN}
    finally:
        for each, handler in kept.items():
            signal.signal(each, handler)
