"""Retries with exponential waits and jitter, on top of tenacity."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    stop_never,
    wait_random_exponential,
)
from tenacity.stop import stop_base

from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger

logger = get_logger(__name__)

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class RetryPolicy:
    """Waits between attempts, and the limits of attempts and time. Times are in seconds.

    A wait is random, from half of `first_wait` up to a bound. The bound is `first_wait` at the
    beginning and doubles with each failure up to `longest_wait`. The jitter keeps many clients
    of a restarted server from reconnecting at the same moment.

    `max_attempts` counts the first attempt; `max_elapsed` includes the next wait. None means no
    limit.
    """

    first_wait: float
    longest_wait: float
    max_attempts: int | None = None
    max_elapsed: float | None = None


RECONNECT = RetryPolicy(first_wait=0.2, longest_wait=5.0)
"""For connections that a process needs until it stops."""


async def retry(
    operation: Callable[[], Awaitable[ResultT]],
    policy: RetryPolicy,
    is_retryable: Callable[[BaseException], bool],
) -> ResultT:
    """Run `operation` until it succeeds, and return its result.

    Raises:
        Exception: of the last attempt, when it is not retryable or the policy's limit is reached.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    # The first attempt runs without tenacity, which would cost each successful call 30 µs.
    try:
        return await operation()
    except Exception as error:
        if not is_retryable(error):
            raise
        failure: Exception | None = error

    async def attempt() -> ResultT:
        nonlocal failure
        if failure is not None:
            first, failure = failure, None
            raise first
        return await operation()

    retrying = AsyncRetrying(
        retry=retry_if_exception(is_retryable),
        stop=_limit(policy, clock() - began),
        wait=_wait(policy),
        reraise=True,
    )
    return await retrying(attempt)


class Outage:
    """The failures of a session since it last worked."""

    def __init__(self, name: str, is_expected: Callable[[BaseException], bool]) -> None:
        self._name = name
        self._is_expected = is_expected
        self._attempt: RetryCallState | None = None
        self._logged: set[type[BaseException] | None] = set()

    def end(self) -> None:
        """Report that the session works: the next failure begins a new outage."""
        if self._attempt is not None:
            self._attempt.attempt_number = 1  # so the waits start again at the first one
        if self._logged:
            logger.info("outage ended", session=self._name)
            self._logged.clear()

    def begin_attempt(self, attempt: RetryCallState) -> None:
        """Follow the attempt that is about to run."""
        self._attempt = attempt

    def log_failure(self, attempt: RetryCallState) -> None:
        """Log the attempt's error once per outage and type of error."""
        error = attempt.outcome.exception() if attempt.outcome else None
        kind = None if error is None else type(error)
        if kind in self._logged:
            return
        self._logged.add(kind)
        unexpected = error is not None and not self._is_expected(error)
        logger.warning(
            "outage",
            session=self._name,
            reason="the session ended" if error is None else f"{type(error).__name__}: {error}",
            retry_in=round(attempt.upcoming_sleep, 2),
            exc_info=error if unexpected else None,
        )


async def retry_until_stopped(
    stop: Stop,
    session: Callable[[Outage], Awaitable[object]],
    *,
    name: str,
    is_expected: Callable[[BaseException], bool],
    policy: RetryPolicy = RECONNECT,
) -> None:
    """Run `session` again after each failure and each return, until `stop`.

    The session calls `end` of its outage when it works. `name` appears in the logs. An error
    that is not expected is logged with its traceback. `stop` interrupts a wait; the caller
    interrupts the session itself.
    """
    outage = Outage(name, is_expected)

    async def sleep(seconds: float) -> None:
        await stop.wait(seconds)

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(Exception) | retry_if_result(lambda _: not stop.is_set()),
        stop=lambda _: stop.is_set(),
        wait=_wait(policy),
        sleep=sleep,
        before_sleep=outage.log_failure,
        retry_error_callback=lambda _: None,
    )
    async for attempt in retrying:
        if stop.is_set():
            return
        outage.begin_attempt(attempt.retry_state)
        with attempt:
            await _uncancelled(session(outage))


async def _uncancelled(session: Awaitable[object]) -> object:
    """Run a session; raise CancelledError if a library replaced it by another outcome.

    A client that is cancelled while it connects may raise a connection error instead. Retrying
    would make the cancellation ineffective.
    """
    try:
        result = await session
    except Exception:
        if is_being_cancelled():
            raise asyncio.CancelledError from None
        raise
    if is_being_cancelled():
        raise asyncio.CancelledError
    return result


def is_being_cancelled() -> bool:
    """Return whether the current task itself is being cancelled.

    A lost connection cancels futures of its client. A task that awaits one of them gets the
    same CancelledError, although no code has cancelled the task.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _wait(policy: RetryPolicy) -> wait_random_exponential:
    return wait_random_exponential(
        multiplier=policy.first_wait, min=policy.first_wait / 2, max=policy.longest_wait
    )


def _limit(policy: RetryPolicy, elapsed: float) -> stop_base:
    limits: list[stop_base] = []
    if policy.max_attempts is not None:
        limits.append(stop_after_attempt(policy.max_attempts))
    if policy.max_elapsed is not None:
        limits.append(stop_before_delay(policy.max_elapsed - elapsed))
    return stop_any(*limits) if limits else stop_never
