"""The retry policy: waits, limits, interruption and logs."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from goticket_platform.lifecycle import Stop
from goticket_platform.retry import Outage, RetryPolicy, retry, retry_until_stopped

FAST = RetryPolicy(first_wait=0.001, longest_wait=0.002)


class Flaky:
    """An operation that fails `failures` times."""

    def __init__(self, failures: int, error: type[Exception] = ConnectionError) -> None:
        self.calls = 0
        self._failures = failures
        self._error = error

    async def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return self.calls


def is_connection_error(error: BaseException) -> bool:
    return isinstance(error, ConnectionError)


async def run_until_stopped(
    stop: Stop,
    session: Callable[[Outage], Awaitable[object]],
    policy: RetryPolicy = FAST,
) -> None:
    async with asyncio.timeout(10):
        await retry_until_stopped(
            stop, session, name="example", is_expected=is_connection_error, policy=policy
        )


async def test_an_operation_is_retried_until_it_succeeds() -> None:
    assert await retry(Flaky(3), FAST, is_connection_error) == 4


async def test_an_error_that_is_not_retryable_is_raised_at_once() -> None:
    operation = Flaky(1, error=ValueError)
    with pytest.raises(ValueError, match=r"^$"):
        await retry(operation, FAST, is_connection_error)
    assert operation.calls == 1


async def test_the_last_error_is_raised_after_the_most_attempts() -> None:
    operation = Flaky(9)
    policy = RetryPolicy(first_wait=0.001, longest_wait=0.002, max_attempts=3)
    with pytest.raises(ConnectionError):
        await retry(operation, policy, is_connection_error)
    assert operation.calls == 3


async def test_no_attempt_starts_after_the_most_elapsed_time() -> None:
    operation = Flaky(9)
    policy = RetryPolicy(first_wait=10, longest_wait=10, max_elapsed=1)
    async with asyncio.timeout(1):
        with pytest.raises(ConnectionError):
            await retry(operation, policy, is_connection_error)
    assert operation.calls == 1


async def test_a_cancellation_interrupts_a_wait() -> None:
    policy = RetryPolicy(first_wait=60, longest_wait=60)
    operation = Flaky(9)
    retrying = asyncio.create_task(retry(operation, policy, is_connection_error))
    while not operation.calls:
        await asyncio.sleep(0)
    retrying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await retrying


async def test_a_session_runs_again_after_failures_and_returns() -> None:
    stop = Stop()
    runs: list[str] = []

    async def session(_: Outage) -> None:
        runs.append("run")
        if len(runs) == 1:
            raise ConnectionError
        if len(runs) == 2:
            raise RuntimeError
        if len(runs) == 4:
            stop.set()

    await run_until_stopped(stop, session)
    assert len(runs) == 4


async def test_a_stop_interrupts_a_wait() -> None:
    stop = Stop()

    async def session(_: Outage) -> None:
        asyncio.get_running_loop().call_later(0.01, stop.set)
        raise ConnectionError

    await run_until_stopped(stop, session, RetryPolicy(first_wait=60, longest_wait=60))


async def test_an_error_after_the_stop_ends_the_session() -> None:
    stop = Stop()

    async def session(_: Outage) -> None:
        stop.set()
        raise ConnectionError

    await run_until_stopped(stop, session)


async def test_a_stopped_process_starts_no_session() -> None:
    stop = Stop()
    stop.set()

    async def session(_: Outage) -> None:
        raise AssertionError

    await run_until_stopped(stop, session)


async def test_a_cancellation_ends_the_session() -> None:
    running = asyncio.create_task(run_until_stopped(Stop(), lambda _: asyncio.Event().wait()))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_waits_grow_and_start_again_after_a_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = Stop()
    waits: list[float] = []
    runs = 0

    async def wait(seconds: float | None = None) -> bool:
        waits.append(seconds or 0)
        return False

    monkeypatch.setattr(stop, "wait", wait)

    async def session(outage: Outage) -> None:
        nonlocal runs
        runs += 1
        if runs == 9:
            outage.end()
        if runs == 10:
            stop.set()
        raise ConnectionError

    # Between half of the first wait and a bound that doubles.
    await run_until_stopped(stop, session, RetryPolicy(first_wait=1, longest_wait=100))
    bounds = [1, 2, 4, 8, 16, 32, 64, 100, 1]
    assert [0.5 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True)] == [True] * 9


class RecordingLogger:
    """Keeps the entries that would be logged."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, object, bool]] = []

    def info(self, event: str, **_: object) -> None:
        self.entries.append((event, None, False))

    def warning(self, event: str, *, reason: str, exc_info: object, **_: object) -> None:
        self.entries.append((event, reason, exc_info is not None))


async def test_an_outage_is_logged_once_per_type_of_error_and_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logger = RecordingLogger()
    monkeypatch.setattr("goticket_platform.retry.logger", logger)
    stop = Stop()
    runs = 0

    async def session(outage: Outage) -> None:
        nonlocal runs
        runs += 1
        if runs in {5, 6}:
            outage.end()
        if runs == 7:
            stop.set()
            return
        raise RuntimeError("bug") if runs == 3 else ConnectionError("lost")

    await run_until_stopped(stop, session)
    assert logger.entries == [
        ("outage", "ConnectionError: lost", False),
        ("outage", "RuntimeError: bug", True),
        ("outage ended", None, False),
        ("outage", "ConnectionError: lost", False),
        ("outage ended", None, False),
        ("outage", "ConnectionError: lost", False),
    ]


@pytest.mark.parametrize("outcome", [ConnectionError(), None], ids=["error", "result"])
async def test_a_cancellation_that_a_library_replaces_ends_the_session_all_the_same(
    outcome: Exception | None,
) -> None:
    async def session(_: Outage) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if outcome:
                raise outcome from None

    task = asyncio.create_task(run_until_stopped(Stop(), session))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
