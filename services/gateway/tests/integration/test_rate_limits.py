"""Limits in a real Redis: shared by gateways, atomic, equal to the local ones, kept without it."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from gateway.rate_limits.buckets import Charge, Limit
from gateway.rate_limits.local_limiter import LocalLimiter
from gateway.rate_limits.redis_limiter import KEY_PREFIX, RedisLimiter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

HOUR = 3600


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


def limiter_of(client: Redis) -> RedisLimiter:
    return RedisLimiter(client, LocalLimiter(lambda: 0.0))


async def test_gateways_share_a_limit_that_concurrent_requests_cannot_exceed(redis: Redis) -> None:
    limit = Limit("login", quota=10, window_seconds=HOUR)
    gateways = [limiter_of(redis), limiter_of(redis)]
    charge = Charge(limit, str(uuid4()))
    answers = await asyncio.gather(
        *(gateways[number % 2].admit([[charge], [charge]]) for number in range(30))
    )
    allowed = [decision.allowed for decisions in answers for decision in decisions]
    assert allowed.count(True) == 10


async def test_a_batch_is_one_call_and_is_decided_in_its_order(redis: Redis) -> None:
    limit = Limit("booking", quota=3, window_seconds=HOUR)
    charge = Charge(limit, str(uuid4()))
    before = await redis.info("commandstats")
    decisions = await limiter_of(redis).admit([[charge]] * 256)
    after = await redis.info("commandstats")
    assert [each.allowed for each in decisions] == [True] * 3 + [False] * 253

    def calls(stats: dict[str, dict[str, int]]) -> int:
        names = ("cmdstat_evalsha", "cmdstat_eval")
        return sum(stats.get(name, {}).get("calls", 0) for name in names)

    assert calls(after) - calls(before) <= 2  # a first call may have to load the script


async def test_an_unused_bucket_leaves_no_key(redis: Redis) -> None:
    limit = Limit("short", quota=1, window_seconds=1)
    charge = Charge(limit, str(uuid4()))
    await limiter_of(redis).admit([[charge]])
    left = await redis.pttl(KEY_PREFIX + charge.key)
    assert 0 < left <= 1000
    await limiter_of(redis).admit([[Charge(limit, charge.client, cost=-1)]])
    assert not await redis.exists(KEY_PREFIX + charge.key)


async def test_without_redis_a_local_limit_holds() -> None:
    limit = Limit("login", quota=2, window_seconds=HOUR)
    async with Redis.from_url("redis://127.0.0.1:1/0") as client:
        limiter = limiter_of(client)
        decisions = [(await limiter.admit([[Charge(limit, "a")]]))[0] for _ in range(3)]
    assert [each.allowed for each in decisions] == [True, True, False]


LIMITS = [
    Limit("a", quota=1, window_seconds=HOUR),
    Limit("b", quota=3, window_seconds=3 * HOUR),
    Limit("c", quota=5, window_seconds=5 * HOUR, block_seconds=100 * HOUR),
]
CHARGES = st.builds(
    Charge,
    st.sampled_from(LIMITS),
    st.sampled_from("xy"),
    st.sampled_from([0, 1, 1, 1, 2, -1]),
)
BATCHES = st.lists(
    st.lists(
        st.lists(CHARGES, min_size=1, max_size=3, unique_by=lambda charge: charge.key),
        min_size=1,
        max_size=4,
    ),
    max_size=8,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=BATCHES)
async def test_redis_and_the_local_limiter_decide_alike(
    redis_url: str, batches: list[list[list[Charge]]]
) -> None:
    run = str(uuid4())
    local = LocalLimiter(lambda: 1_000_000.0)  # refills take hours, so the clock does not matter
    async with Redis.from_url(redis_url) as client:
        limiter = limiter_of(client)
        for batch in batches:
            named = [
                [Charge(each.limit, run + each.client, each.cost) for each in charges]
                for charges in batch
            ]
            expected = await local.admit(named)
            decided = await limiter.admit(named)
            assert [each.allowed for each in decided] == [each.allowed for each in expected]
            for one, other in zip(decided, expected, strict=True):
                assert abs(one.remaining - other.remaining) <= 1  # rounding of a moment
                assert abs(one.retry_after - other.retry_after) <= 60
