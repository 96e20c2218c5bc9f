"""One byte budget bounds all caches of a process, and expired entries are removed unread."""

import asyncio
import gc
import tracemalloc

import pytest
from goticket_platform.caching import CacheBudget, Entry, TTLCache
from goticket_platform.caching.budget import ENTRY_BYTES, EVICTIONS, LIMIT, USED

KIBIBYTE = 1024
LIFETIME = 1.0


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
    return CacheBudget(10 * KIBIBYTE, clock)


def cache_of(budget: CacheBudget, name: str = "test") -> TTLCache[bytes]:
    return TTLCache(budget, name, size_of=len)


def put(
    cache: TTLCache[bytes], key: str, size: int = KIBIBYTE, expires_in: float = LIFETIME
) -> None:
    cache.put(key, Entry(bytes(size), 100.0, 100.0 + expires_in))


def test_the_least_recently_used_entry_of_any_cache_makes_room(budget: CacheBudget) -> None:
    first, second = cache_of(budget, "first"), cache_of(budget, "second")
    for key in ("a", "b"):
        put(first, key)
        put(second, key)
    assert budget.bytes_used <= budget.max_bytes
    assert first.get("a")
    evicted = EVICTIONS.labels("second")._value.get()
    put(first, "c", 3 * KIBIBYTE)
    assert budget.bytes_used <= budget.max_bytes
    assert [second.get("a"), first.get("a") is None] == [None, False]
    assert EVICTIONS.labels("second")._value.get() > evicted


def test_any_number_of_keys_stays_within_the_budget(budget: CacheBudget) -> None:
    caches = [cache_of(budget), cache_of(budget)]
    for number in range(1000):
        put(caches[number % 2], f"key-{number}", number)
        assert budget.bytes_used <= budget.max_bytes
    assert sum(map(len, caches)) <= 10


def test_an_expired_entry_is_removed_without_being_read(budget: CacheBudget, clock: Clock) -> None:
    cache = cache_of(budget)
    put(cache, "short")
    put(cache, "long", expires_in=2 * LIFETIME)
    clock.now += LIFETIME + 1
    budget.remove_expired()
    assert (len(cache), cache.get("short")) == (1, None)
    clock.now += 1
    budget.remove_expired()
    assert (len(cache), budget.bytes_used, budget._expiring) == (0, 0, {})


async def test_expired_entries_are_removed_regularly() -> None:
    budget = CacheBudget(10 * KIBIBYTE)
    cache = cache_of(budget)
    cache.put("key", Entry(b"", budget.clock(), budget.clock() + 0.01))
    sweeping = asyncio.create_task(budget.remove_expired_regularly())
    try:
        async with asyncio.timeout(10):
            while len(cache):
                await asyncio.sleep(0.01)
    finally:
        sweeping.cancel()
    assert budget.bytes_used == 0


def test_a_replaced_deleted_or_expired_entry_uses_no_budget(
    budget: CacheBudget, clock: Clock
) -> None:
    cache = cache_of(budget)
    put(cache, "a")
    one = budget.bytes_used
    put(cache, "a")
    assert budget.bytes_used == one
    put(cache, "b")
    cache.delete("a")
    assert budget.bytes_used == one
    clock.now += LIFETIME
    assert cache.get("b") is None
    assert budget.bytes_used == 0
    put(cache, "c")
    assert (cache.get("c"), budget.bytes_used) == (None, 0)


def test_a_value_larger_than_the_budget_evicts_nothing(budget: CacheBudget) -> None:
    cache = cache_of(budget)
    put(cache, "a")
    put(cache, "large", 10 * KIBIBYTE)
    assert cache.get("large") is None
    assert cache.get("a")


def test_reserved_bytes_are_not_available_to_entries(budget: CacheBudget) -> None:
    budget.reserve(9 * KIBIBYTE)
    cache = cache_of(budget)
    put(cache, "a", 0)
    put(cache, "b", 0)
    assert (len(cache), budget.bytes_used <= budget.max_bytes) == (1, True)
    with pytest.raises(ValueError, match="the caches need more than 10240 bytes"):
        budget.reserve(KIBIBYTE)


def test_gauges_report_the_budget(budget: CacheBudget) -> None:
    budget.export_metrics()
    put(cache_of(budget), "a")
    [[used]] = [metric.samples for metric in USED.collect()]
    [[limit]] = [metric.samples for metric in LIMIT.collect()]
    assert (used.value, limit.value) == (budget.bytes_used, budget.max_bytes)


@pytest.mark.parametrize("key_length", [8, 64, 2048])
def test_the_size_of_small_entries_is_counted_honestly(key_length: int) -> None:
    budget = CacheBudget(64 * 1024 * KIBIBYTE)
    cache = cache_of(budget)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(5_000):
            now = budget.clock()
            cache.put(f"{number:0{key_length}}", Entry(bytes(100), now, now + 3600.0))
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(cache) == 5_000
    assert used <= budget.bytes_used
    assert used > budget.bytes_used / 3, f"{ENTRY_BYTES} bytes for an entry are too many"
