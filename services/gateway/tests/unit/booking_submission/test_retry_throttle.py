"""Who was told to wait and comes back early is held until their time; nobody else is."""

import asyncio
from typing import Any

import pytest
from gateway.booking_submission.retry_throttle import HELD, RetryThrottle, with_connection

IN_TWO_SECONDS = [(b"content-length", b"0"), (b"retry-after", b"2")]


class Clock:
    """Monotonic seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def patience(clock: Clock) -> RetryThrottle:
    return RetryThrottle(most=2, clock=clock)


def connection() -> dict[str, Any]:
    """The scope of a request on a connection of its own."""
    return {"state": with_connection({"other": 1})}


async def at_once(patience: RetryThrottle, scope: dict[str, Any]) -> bool:
    """Whether a request is let through without having been held."""
    held = asyncio.ensure_future(patience.hold(scope))
    await asyncio.sleep(0)
    if held.done():
        assert held.result() is False
        return True
    held.cancel()
    await asyncio.wait([held])
    return False


async def test_an_early_return_is_held_for_what_is_left_of_its_time(
    patience: RetryThrottle, clock: Clock
) -> None:
    scope = connection()
    patience.note(scope, IN_TWO_SECONDS)
    clock.now += 1.95
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await patience.hold(scope) is True
    assert loop.time() - began >= 0.049  # the loop's clock counts whole milliseconds
    assert HELD._value.get() == 0


async def test_nobody_else_is_held(patience: RetryThrottle, clock: Clock) -> None:
    told = connection()
    patience.note(told, IN_TWO_SECONDS)
    assert not await at_once(patience, told)
    assert await at_once(patience, connection())
    assert await at_once(patience, {})  # a server that says nothing of connections
    patience.note({}, IN_TWO_SECONDS)
    clock.now += 2.0
    assert await at_once(patience, told)


@pytest.mark.parametrize("headers", [[], [(b"retry-after", b"Fri, 01 Jan 2100 00:00:00 GMT")]])
async def test_an_answer_without_seconds_asks_for_nothing(
    patience: RetryThrottle, headers: list[tuple[bytes, bytes]]
) -> None:
    scope = connection()
    patience.note(scope, headers)
    assert await at_once(patience, scope)


async def test_requests_of_one_connection_share_what_is_remembered(patience: RetryThrottle) -> None:
    state = with_connection({})
    patience.note({"state": state.copy()}, IN_TWO_SECONDS)
    assert not await at_once(patience, {"state": state.copy()})


async def test_no_more_than_so_many_are_held_and_who_leaves_makes_room(
    patience: RetryThrottle,
) -> None:
    scopes = [connection() for _ in range(3)]
    for scope in scopes:
        patience.note(scope, IN_TWO_SECONDS)
    held = [asyncio.ensure_future(patience.hold(scope)) for scope in scopes[:2]]
    await asyncio.sleep(0)
    assert HELD._value.get() == 2
    assert await at_once(patience, scopes[2])
    held[0].cancel()
    await asyncio.wait(held[:1])
    assert not await at_once(patience, scopes[2])
    held[1].cancel()
    await asyncio.wait(held)
    assert HELD._value.get() == 0


async def test_closing_lets_everybody_go_and_holds_nobody_any_more(patience: RetryThrottle) -> None:
    scope = connection()
    patience.note(scope, IN_TWO_SECONDS)
    held = asyncio.ensure_future(patience.hold(scope))
    await asyncio.sleep(0)
    assert HELD._value.get() == 1
    patience.close()
    assert await asyncio.wait_for(held, 1.0) is True
    assert HELD._value.get() == 0
    assert await at_once(patience, scope)
