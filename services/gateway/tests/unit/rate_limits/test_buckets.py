"""Token buckets admit their quota, refill evenly, and block who exceeds a limit with a block."""

from dataclasses import dataclass

import pytest
from gateway.rate_limits.buckets import Charge, Decision, Limit
from gateway.rate_limits.headers import rate_limit_headers
from gateway.rate_limits.local_limiter import LocalLimiter

LOGIN = Limit("login", quota=10, window_seconds=900)
SCAN = Limit("unknown-routes", quota=10, window_seconds=900, block_seconds=3600)


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> LocalLimiter:
    return LocalLimiter(clock)


async def admit(limiter: LocalLimiter, *charges: Charge) -> Decision:
    [decision] = await limiter.admit([charges])
    return decision


async def test_the_quota_is_admitted_at_once_and_no_more(limiter: LocalLimiter) -> None:
    decisions = [await admit(limiter, Charge(LOGIN, "a")) for _ in range(11)]
    assert [each.allowed for each in decisions] == [True] * 10 + [False]
    assert [each.remaining for each in decisions] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]
    assert decisions[-1].retry_after == 90
    assert (await admit(limiter, Charge(LOGIN, "b"))).allowed


async def test_a_client_that_waits_as_told_is_admitted(limiter: LocalLimiter, clock: Clock) -> None:
    for _ in range(10):
        await admit(limiter, Charge(LOGIN, "a"))
    refused = await admit(limiter, Charge(LOGIN, "a"))
    clock.now += refused.retry_after
    assert (await admit(limiter, Charge(LOGIN, "a"))).allowed
    assert not (await admit(limiter, Charge(LOGIN, "a"))).allowed


async def test_a_refused_request_takes_nothing_from_any_bucket(limiter: LocalLimiter) -> None:
    email = Limit("login-email", quota=1, window_seconds=900)
    await admit(limiter, Charge(email, "ada"))
    for _ in range(20):
        decision = await admit(limiter, Charge(LOGIN, "a"), Charge(email, "ada"))
        assert (decision.allowed, decision.limit) == (False, email)
    assert (await admit(limiter, Charge(LOGIN, "a"))).remaining == 9


async def test_a_unit_is_given_back(limiter: LocalLimiter) -> None:
    for _ in range(50):
        assert (await admit(limiter, Charge(LOGIN, "a"))).allowed
        await admit(limiter, Charge(LOGIN, "a", cost=-1))
    await admit(limiter, Charge(LOGIN, "a", cost=-1))
    assert (await admit(limiter, Charge(LOGIN, "a"))).remaining == 9  # never above the quota


async def test_a_check_takes_nothing_and_is_refused_when_the_bucket_is_empty(
    limiter: LocalLimiter,
) -> None:
    for _ in range(20):
        assert (await admit(limiter, Charge(LOGIN, "a", cost=0))).remaining == 10
    await admit(limiter, Charge(LOGIN, "a", cost=10))
    assert not (await admit(limiter, Charge(LOGIN, "a", cost=0))).allowed


async def test_an_exceeded_limit_blocks_its_client(limiter: LocalLimiter, clock: Clock) -> None:
    for _ in range(10):
        assert (await admit(limiter, Charge(SCAN, "a"))).allowed
    assert (await admit(limiter, Charge(SCAN, "a"))).retry_after == 3600
    clock.now += 3599
    assert not (await admit(limiter, Charge(SCAN, "a", cost=0))).allowed
    clock.now += 1
    assert (await admit(limiter, Charge(SCAN, "a", cost=0))).allowed


async def test_a_block_is_not_extended_by_requests_during_it(
    limiter: LocalLimiter, clock: Clock
) -> None:
    await admit(limiter, Charge(SCAN, "a", cost=10))
    await admit(limiter, Charge(SCAN, "a"))
    for _ in range(10):
        clock.now += 360
        await admit(limiter, Charge(SCAN, "a", cost=0))
    assert (await admit(limiter, Charge(SCAN, "a", cost=0))).allowed


async def test_the_number_of_buckets_is_bounded(clock: Clock) -> None:
    limiter = LocalLimiter(clock, max_buckets=3)
    for client in "abcde":
        await admit(limiter, Charge(LOGIN, client))
    assert len(limiter._full_at) == 3


@pytest.mark.parametrize(("quota", "window", "block"), [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_a_limit_that_makes_no_bucket_is_an_error(quota: int, window: int, block: int) -> None:
    with pytest.raises(ValueError, match="not valid"):
        Limit("x", quota, window, block)


async def test_the_header_fields_tell_limit_and_state(limiter: LocalLimiter) -> None:
    await admit(limiter, Charge(LOGIN, "a", cost=9))
    admitted = await admit(limiter, Charge(LOGIN, "a"))
    assert dict(rate_limit_headers(admitted)) == {
        b"ratelimit-policy": b'"login";q=10;w=900',
        b"ratelimit": b'"login";r=0;t=900',
    }
    refused = await admit(limiter, Charge(LOGIN, "a"))
    assert dict(rate_limit_headers(refused))[b"retry-after"] == b"90"
