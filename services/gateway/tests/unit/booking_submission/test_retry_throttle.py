"""Requests that ignore Retry-After are delayed until that time; others are not."""

import asyncio
from typing import Any

import pytest
from gateway.booking_submission.retry_throttle import (
    THROTTLED,
    RetryThrottle,
    with_connection_state,
)

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
def throttle(clock: Clock) -> RetryThrottle:
    return RetryThrottle(max_delayed=2, clock=clock)


def connection() -> dict[str, Any]:
    """The scope of a request on a connection of its own."""
    return {"state": with_connection_state({"other": 1})}


async def is_immediate(throttle: RetryThrottle, scope: dict[str, Any]) -> bool:
    """Return whether a request passes without a delay."""
    delayed = asyncio.ensure_future(throttle.delay(scope))
    await asyncio.sleep(0)
    if delayed.done():
        assert delayed.result() is False
        return True
    delayed.cancel()
    await asyncio.wait([delayed])
    return False


async def test_an_early_retry_is_delayed_for_the_rest_of_its_time(
    throttle: RetryThrottle, clock: Clock
) -> None:
    scope = connection()
    throttle.record_rejection(scope, IN_TWO_SECONDS)
    clock.now += 1.95
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await throttle.delay(scope) is True
    assert loop.time() - began >= 0.049  # the loop's clock counts whole milliseconds
    assert THROTTLED._value.get() == 0


async def test_other_requests_are_not_delayed(throttle: RetryThrottle, clock: Clock) -> None:
    rejected = connection()
    throttle.record_rejection(rejected, IN_TWO_SECONDS)
    assert not await is_immediate(throttle, rejected)
    assert await is_immediate(throttle, connection())
    assert await is_immediate(throttle, {})  # a server without connection state
    throttle.record_rejection({}, IN_TWO_SECONDS)
    clock.now += 2.0
    assert await is_immediate(throttle, rejected)


@pytest.mark.parametrize("headers", [[], [(b"retry-after", b"Fri, 01 Jan 2100 00:00:00 GMT")]])
async def test_a_rejection_without_seconds_delays_nothing(
    throttle: RetryThrottle, headers: list[tuple[bytes, bytes]]
) -> None:
    scope = connection()
    throttle.record_rejection(scope, headers)
    assert await is_immediate(throttle, scope)


async def test_requests_of_one_connection_share_its_state(throttle: RetryThrottle) -> None:
    state = with_connection_state({})
    throttle.record_rejection({"state": state.copy()}, IN_TWO_SECONDS)
    assert not await is_immediate(throttle, {"state": state.copy()})


async def test_the_number_of_delayed_requests_is_bounded_and_a_cancelled_one_does_not_count(
    throttle: RetryThrottle,
) -> None:
    scopes = [connection() for _ in range(3)]
    for scope in scopes:
        throttle.record_rejection(scope, IN_TWO_SECONDS)
    delayed = [asyncio.ensure_future(throttle.delay(scope)) for scope in scopes[:2]]
    await asyncio.sleep(0)
    assert THROTTLED._value.get() == 2
    assert await is_immediate(throttle, scopes[2])
    delayed[0].cancel()
    await asyncio.wait(delayed[:1])
    assert not await is_immediate(throttle, scopes[2])
    delayed[1].cancel()
    await asyncio.wait(delayed)
    assert THROTTLED._value.get() == 0


async def test_closing_releases_all_requests_and_delays_no_more(throttle: RetryThrottle) -> None:
    scope = connection()
    throttle.record_rejection(scope, IN_TWO_SECONDS)
    delayed = asyncio.ensure_future(throttle.delay(scope))
    await asyncio.sleep(0)
    assert THROTTLED._value.get() == 1
    throttle.close()
    assert await asyncio.wait_for(delayed, 1.0) is True
    assert THROTTLED._value.get() == 0
    assert await is_immediate(throttle, scope)
