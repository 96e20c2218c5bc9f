"""Requests that arrive during a call share the next one."""

import asyncio
from collections.abc import Sequence

import pytest
from notification.grouped_calls import GroupedCalls


class Recorder:
    """Doubles numbers, and keeps the groups. It waits while `may_answer` is not set."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.error: Exception | None = None

    async def __call__(self, items: Sequence[int]) -> list[int]:
        """Double the numbers."""
        self.groups.append(list(items))
        await self.may_answer.wait()
        if self.error:
            raise self.error
        return [2 * item for item in items]


async def test_requests_during_a_call_share_the_next_one() -> None:
    execute = Recorder()
    calls = GroupedCalls(execute, max_size=3)
    execute.may_answer.clear()
    first = asyncio.create_task(calls.submit(0))
    while not execute.groups:
        await asyncio.sleep(0)
    rest = asyncio.gather(*(calls.submit(number) for number in range(1, 6)))
    execute.may_answer.set()

    assert [await first, *await rest] == [0, 2, 4, 6, 8, 10]
    assert execute.groups == [[0], [1, 2, 3], [4, 5]]


async def test_an_error_reaches_every_caller_and_the_next_call_works() -> None:
    execute = Recorder()
    calls = GroupedCalls(execute, max_size=10)
    execute.error = ValueError("failed")

    results = await asyncio.gather(calls.submit(1), calls.submit(2), return_exceptions=True)
    assert [str(result) for result in results] == ["failed", "failed"]
    execute.error = None
    assert await calls.submit(3) == 6


async def test_a_cancelled_caller_does_not_disturb_the_others() -> None:
    execute = Recorder()
    calls = GroupedCalls(execute, max_size=10)
    execute.may_answer.clear()
    cancelled = asyncio.create_task(calls.submit(1))
    other = asyncio.create_task(calls.submit(2))
    while not execute.groups:
        await asyncio.sleep(0)
    cancelled.cancel()
    execute.may_answer.set()

    assert await other == 4
    with pytest.raises(asyncio.CancelledError):
        await cancelled
