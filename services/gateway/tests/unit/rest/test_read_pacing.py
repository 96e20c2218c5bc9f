"""Bookings have priority: a turn of the event loop answers few reads, in order."""

import asyncio
from itertools import pairwise

from gateway.rest.read_pacing import ReadPacer


class FakePipeline:
    """Reports whether a booking is in progress."""

    is_active = True

    def is_booking(self) -> bool:
        return self.is_active


async def start_reads(
    pacer: ReadPacer, count: int, answered: list[int]
) -> list[asyncio.Task[None]]:
    async def read(number: int) -> None:
        await pacer.admit()
        answered.append(number)

    tasks = [asyncio.create_task(read(number)) for number in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_reads_are_answered_at_once_without_bookings() -> None:
    pipeline, answered = FakePipeline(), list[int]()
    pipeline.is_active = False
    await start_reads(ReadPacer(pipeline.is_booking, max_per_turn=2), 9, answered)
    assert answered == list(range(9))


async def test_a_turn_answers_a_bounded_number_of_reads_during_a_booking() -> None:
    answered = list[int]()
    tasks = await start_reads(ReadPacer(FakePipeline().is_booking, max_per_turn=2), 7, answered)
    counts = [len(answered)]
    while len(answered) < 7:
        await asyncio.sleep(0)
        counts.append(len(answered))
    await asyncio.gather(*tasks)
    assert answered == list(range(7)), "in the order of their arrival"
    assert max(after - before for before, after in pairwise(counts)) <= 2
    assert counts[0] == 2


async def test_every_waiting_read_is_answered_when_the_booking_ends() -> None:
    pipeline, answered = FakePipeline(), list[int]()
    tasks = await start_reads(ReadPacer(pipeline.is_booking, max_per_turn=1), 50, answered)
    pipeline.is_active = False
    await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert answered == list(range(50))


async def test_a_cancelled_read_does_not_count() -> None:
    answered = list[int]()
    tasks = await start_reads(ReadPacer(FakePipeline().is_booking, max_per_turn=1), 4, answered)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert answered == [0, 2, 3]
