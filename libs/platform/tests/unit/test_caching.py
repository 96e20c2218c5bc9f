"""Caches: lifetimes, byte budgets, single flight, batches and the circuit breaker."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import redis.asyncio as redis
from goticket_platform.caching import (
    RESET_SECONDS,
    BatchLoader,
    CacheBudget,
    CircuitBreaker,
    Entry,
    SharedCache,
    TTLCache,
)

LIFETIME = 1.0
BUDGET = 1 << 20


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
def budget(clock: Clock) -> CacheBudget:
    return CacheBudget(BUDGET, clock)


@pytest.fixture
def cache(budget: CacheBudget) -> TTLCache[str]:
    return TTLCache(budget, "test", size_of=len)


class Source:
    """Loads a value; blocks while it is closed."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.value = "one"
        self.loads = 0
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def called(self, times: int) -> None:
        while self.loads < times:
            await asyncio.sleep(0)

    async def load(self) -> Entry[str]:
        self.loads += 1
        loaded_at, value = self.clock.now, self.value
        await self.open.wait()
        if self.error:
            raise self.error
        return Entry(value, loaded_at, loaded_at + LIFETIME)


@pytest.fixture
def source(clock: Clock) -> Source:
    return Source(clock)


async def test_an_entry_expires_its_lifetime_after_its_loading_began(
    cache: TTLCache[str], source: Source, clock: Clock
) -> None:
    source.open.clear()
    loading = asyncio.create_task(cache.get_or_load("a", source.load))
    await source.called(1)
    clock.now += LIFETIME / 2
    source.open.set()
    assert (await loading).value == "one"
    clock.now += LIFETIME * 0.4
    assert cache.get("a")
    clock.now += LIFETIME * 0.1
    assert cache.get("a") is None


async def test_an_entry_that_took_longer_than_its_lifetime_is_not_stored(
    cache: TTLCache[str], source: Source, clock: Clock
) -> None:
    source.open.clear()
    loading = asyncio.create_task(cache.get_or_load("a", source.load))
    await source.called(1)
    clock.now += LIFETIME
    source.open.set()
    assert (await loading).value == "one"
    assert cache.get("a") is None


async def test_concurrent_callers_share_a_load_and_one_may_be_cancelled(
    cache: TTLCache[str], source: Source
) -> None:
    source.open.clear()
    callers = [asyncio.create_task(cache.get_or_load("a", source.load)) for _ in range(10)]
    await asyncio.sleep(0)
    callers[0].cancel()
    source.open.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert [cast("Entry[str]", result).value for result in results[1:]] == ["one"] * 9
    assert source.loads == 1


async def test_an_error_reaches_every_caller_and_is_not_stored(
    cache: TTLCache[str], source: Source
) -> None:
    source.error = OSError()
    callers = [cache.get_or_load("a", source.load) for _ in range(3)]
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert results == [source.error] * 3
    source.error = None
    assert (await cache.get_or_load("a", source.load)).value == "one"


@pytest.mark.parametrize("everything", [False, True])
async def test_a_load_that_a_deletion_overtakes_is_not_stored(
    cache: TTLCache[str], source: Source, everything: bool
) -> None:
    source.open.clear()
    early = asyncio.create_task(cache.get_or_load("a", source.load))
    await source.called(1)
    source.value = "two"
    if everything:
        cache.clear()
    else:
        cache.delete("a")
    late = asyncio.create_task(cache.get_or_load("a", source.load))
    await source.called(2)
    source.open.set()
    assert [(await early).value, (await late).value] == ["one", "two"]
    stored = cache.get("a")
    assert stored
    assert stored.value == "two"


class Batches:
    """Loads batches of numbers as text; blocks while it is closed."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def __call__(self, keys: Sequence[int]) -> Mapping[int, str]:
        self.batches.append(list(keys))
        await self.open.wait()
        if self.error:
            raise self.error
        return {key: str(key) for key in keys if key >= 0}


@pytest.fixture
def batches() -> Batches:
    return Batches()


async def test_keys_of_one_turn_of_the_loop_share_a_batch(batches: Batches) -> None:
    loader = BatchLoader(batches)
    assert await asyncio.gather(*map(loader.load, [1, 2, 1, -1])) == ["1", "2", "1", None]
    assert batches.batches == [[1, 2, -1]]


async def test_a_batch_never_answers_a_request_that_came_after_it(batches: Batches) -> None:
    loader = BatchLoader(batches, max_in_flight=1)
    batches.open.clear()
    early = asyncio.create_task(loader.load(1))
    while not batches.batches:
        await asyncio.sleep(0)
    late = [asyncio.create_task(loader.load(key)) for key in (1, 2)]
    await asyncio.sleep(0)
    batches.open.set()
    assert await asyncio.gather(early, *late) == ["1", "1", "2"]
    assert batches.batches == [[1], [1, 2]]


async def test_size_and_number_of_batches_in_flight_are_bounded(batches: Batches) -> None:
    loader = BatchLoader(batches, max_batch=2, max_in_flight=2)
    batches.open.clear()
    loads = [asyncio.create_task(loader.load(key)) for key in range(7)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert batches.batches == [[0, 1], [2, 3]]
    batches.open.set()
    assert await asyncio.gather(*loads) == [str(key) for key in range(7)]
    assert batches.batches[2:] == [[4, 5], [6]]


async def test_a_failed_batch_fails_its_callers_and_the_next_one_is_sent(batches: Batches) -> None:
    loader = BatchLoader(batches)
    batches.error = OSError()
    results = await asyncio.gather(*map(loader.load, [1, 2]), return_exceptions=True)
    assert results == [batches.error] * 2
    batches.error = None
    assert await loader.load(3) == "3"


async def test_a_cancelled_caller_leaves_the_others_of_its_batch(batches: Batches) -> None:
    loader = BatchLoader(batches)
    batches.open.clear()
    loads = [asyncio.create_task(loader.load(1)) for _ in range(2)]
    while not batches.batches:
        await asyncio.sleep(0)
    loads[0].cancel()
    batches.open.set()
    results = await asyncio.gather(*loads, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1] == "1"


async def test_a_key_without_a_waiting_caller_is_not_sent(batches: Batches) -> None:
    loader = BatchLoader(batches, max_batch=1, max_in_flight=1)
    batches.open.clear()
    loads = [asyncio.create_task(loader.load(key)) for key in (1, 2, 2, 3, 3)]
    while not batches.batches:
        await asyncio.sleep(0)
    for cancelled in loads[1:4]:
        cancelled.cancel()
    await asyncio.sleep(0)
    batches.open.set()
    results = await asyncio.gather(*loads, return_exceptions=True)
    assert (results[0], results[4]) == ("1", "3")
    assert batches.batches == [[1], [3]]


async def test_a_stalled_batch_does_not_delay_later_requests(batches: Batches) -> None:
    now = 0.0
    loader = BatchLoader(batches, max_in_flight=1, stall_seconds=0.5, clock=lambda: now)
    batches.open.clear()
    stalled = asyncio.create_task(loader.load(1))
    while not batches.batches:
        await asyncio.sleep(0)
    now = 0.4
    second = asyncio.create_task(loader.load(2))
    for _ in range(3):
        await asyncio.sleep(0)
    assert batches.batches == [[1]]
    now = 0.5
    third = asyncio.create_task(loader.load(3))
    for _ in range(3):
        await asyncio.sleep(0)
    assert batches.batches == [[1], [2, 3]]
    batches.open.set()
    assert await asyncio.gather(*[stalled, second, third]) == ["1", "2", "3"]


class Redis:
    """Executes pipelines; fails on demand."""

    def __init__(self) -> None:
        self.executed = 0
        self.error: Exception | None = None
        self.answers: list[object] = ["value"]

    @asynccontextmanager
    async def pipeline(self, *, transaction: bool) -> Any:
        assert not transaction
        yield self

    async def execute(self, *, raise_on_error: bool) -> list[object]:
        assert not raise_on_error
        self.executed += 1
        if self.error:
            raise self.error
        return self.answers


@pytest.mark.parametrize("error", [redis.ConnectionError(), redis.TimeoutError(), OSError()])
async def test_a_failure_opens_the_circuit_for_all_commands(clock: Clock, error: Exception) -> None:
    server = Redis()
    shared = SharedCache(cast("redis.Redis", server), CircuitBreaker(clock))
    server.error = error
    for _ in range(3):
        assert await shared.run(lambda _commands: None) is None
    assert server.executed == 1
    server.error = None
    clock.now += RESET_SECONDS
    assert await shared.run(lambda _commands: None) == ["value"]


async def test_a_command_that_redis_rejects_has_no_answer_and_the_others_have(
    clock: Clock,
) -> None:
    server = Redis()
    server.answers = [redis.ResponseError("WRONGTYPE"), "value"]
    shared = SharedCache(cast("redis.Redis", server), CircuitBreaker(clock))
    assert await shared.run(lambda _commands: None) == [None, "value"]
