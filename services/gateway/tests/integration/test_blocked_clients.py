"""Gateways learn of each other's blocks through Redis, and keep their own without it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from gateway.rate_limits import blocked_clients
from gateway.rate_limits.blocked_clients import BlockedClients
from goticket_contracts.redis_names import BLOCKED_CLIENTS_KEY
from goticket_platform.caching import SharedCache, open_cache_redis

HOUR = 3600


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def shared(redis_url: str) -> AsyncIterator[SharedCache]:
    async with open_cache_redis(redis_url, timeout=5, max_connections=4) as client:
        await client.delete(BLOCKED_CLIENTS_KEY)
        yield SharedCache(client)


async def test_every_gateway_reads_a_block_with_its_end(shared: SharedCache, clock: Clock) -> None:
    first, second = (BlockedClients(shared, HOUR, clock) for _ in range(2))
    await second.read_new()
    await first.add("203.0.113.7", HOUR)
    assert first.seconds_left("203.0.113.7") == HOUR
    assert second.seconds_left("203.0.113.7") == 0
    clock.now += 2
    await second.read_new()
    assert second.seconds_left("203.0.113.7") == HOUR - 2
    clock.now += HOUR
    assert second.seconds_left("203.0.113.7") == 0


async def test_a_new_gateway_reads_all_blocks_and_then_only_new_ones(
    shared: SharedCache, clock: Clock
) -> None:
    first, later = (BlockedClients(shared, HOUR, clock) for _ in range(2))
    for number in range(3):
        await first.add(f"203.0.113.{number}", HOUR)
        clock.now += 600
    await later.read_new()
    assert [later.seconds_left(f"203.0.113.{n}") for n in range(3)] == [1800, 2400, 3000]
    # What it has read is not read again.
    await shared.client.zadd(BLOCKED_CLIENTS_KEY, {"203.0.113.9": clock.now + 1800})
    await later.read_new()
    assert later.seconds_left("203.0.113.9") == 0
    await first.add("203.0.113.10", HOUR)
    await later.read_new()
    assert later.seconds_left("203.0.113.10") == HOUR


async def test_blocks_of_an_outage_are_read_after_it(shared: SharedCache, clock: Clock) -> None:
    async with open_cache_redis("redis://127.0.0.1:1/0", timeout=1, max_connections=1) as dead:
        other = BlockedClients(SharedCache(dead), HOUR, clock)
        await other.read_new()
        await other.add("203.0.113.7", HOUR)
        assert other.seconds_left("203.0.113.7") == HOUR  # here at least
        await BlockedClients(shared, HOUR, clock).add("203.0.113.8", HOUR)
        clock.now += 900
        other._shared = shared
        await other.read_new()
        assert other.seconds_left("203.0.113.8") == HOUR - 900


async def test_ended_blocks_leave_redis_and_the_key_expires(
    shared: SharedCache, clock: Clock
) -> None:
    blocked = BlockedClients(shared, HOUR, clock)
    await blocked.add("203.0.113.7", HOUR)
    clock.now += HOUR + 1
    await blocked.add("203.0.113.8", HOUR)
    assert await shared.client.zrange(BLOCKED_CLIENTS_KEY, 0, -1) == ["203.0.113.8"]
    assert HOUR < await shared.client.ttl(BLOCKED_CLIENTS_KEY) <= HOUR + 60


async def test_the_number_of_blocks_is_bounded(
    shared: SharedCache, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocked_clients, "MAX_BLOCKED", 3)
    blocked = BlockedClients(shared, HOUR, clock)
    for number in range(5):
        await blocked.add(f"203.0.113.{number}", HOUR)
    left = [blocked.seconds_left(f"203.0.113.{number}") for number in range(5)]
    assert left == [0, 0, HOUR, HOUR, HOUR]
    assert await shared.client.zcard(BLOCKED_CLIENTS_KEY) == 3
