"""Token buckets in this process: for cached reads, and while Redis does not answer."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from gateway.rate_limits.buckets import MICROSECONDS, Charge, Decision, Limit, whole_seconds

MAX_BUCKETS = 20_000
"""Buckets that are kept; the least recently used are dropped."""
BUCKETS_BYTES = MAX_BUCKETS * 256
"""Memory of all buckets at most."""


class LocalLimiter:
    """Decides as the script in Redis does; `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float], max_buckets: int = MAX_BUCKETS) -> None:
        self._clock = clock
        self._max_buckets = max_buckets
        self._full_at: OrderedDict[str, float] = OrderedDict()

    async def admit(self, requests: Sequence[Sequence[Charge]]) -> list[Decision]:
        """See `RateLimiter`."""
        return [self.decide(charges) for charges in requests]

    def decide(self, charges: Sequence[Charge]) -> Decision:
        """Decide about one request."""
        return self._decide(charges, self._clock() * MICROSECONDS)

    def take(self, limit: Limit, client: str) -> bool:
        """Take a unit from a bucket of a limit without a block; return False if it has none.

        A fifth of the cost of `decide`, for requests that are answered from a cache. The key is
        the client alone, so a limiter used this way has one limit.
        """
        now = self._clock() * MICROSECONDS
        full_at = max(self._full_at.get(client, 0.0), now) + limit.emission
        if full_at > now + limit.capacity:
            return False
        self._store(client, full_at, now)
        return True

    def seconds_until(self, limit: Limit, client: str) -> int:
        """Return after how many seconds a client that `take` refused has a unit again."""
        wait = self._full_at.get(client, 0.0) + limit.emission - limit.capacity
        return max(1, whole_seconds(wait - self._clock() * MICROSECONDS))

    def _decide(self, charges: Sequence[Charge], now: float) -> Decision:
        levels = [self._level(charge, now) for charge in charges]
        waits = [_wait(charge, level, now) for charge, level in zip(charges, levels, strict=True)]
        longest = max(waits)
        if longest > 0:
            index = waits.index(longest)
            return self._refuse(charges[index], levels[index], longest, now)
        for index, charge in enumerate(charges):
            levels[index] = max(levels[index] + charge.limit.emission * charge.cost, now)
            self._store(charge.key, levels[index], now)
        decisions = [
            _state(charge, level, now) for charge, level in zip(charges, levels, strict=True)
        ]
        return min(decisions, key=lambda each: each.remaining)

    def _refuse(self, charge: Charge, level: float, wait: float, now: float) -> Decision:
        limit = charge.limit
        is_blocked = self._full_at.get(charge.key, 0.0) < -now
        if (block := limit.block_seconds * MICROSECONDS) > wait and not is_blocked:
            wait = block
            level = now + block + limit.capacity - limit.emission
            self._store(charge.key, -(now + block), now)
        state = _state(charge, level, now)
        return Decision(
            False, limit, 0, state.reset_seconds, retry_after=max(1, whole_seconds(wait))
        )

    def _level(self, charge: Charge, now: float) -> float:
        stored = self._full_at.get(charge.key, 0.0)
        if stored < -now:
            stored = charge.limit.capacity - charge.limit.emission - stored
        return max(stored, now)

    def _store(self, key: str, full_at: float, now: float) -> None:
        if 0 <= full_at <= now:
            self._full_at.pop(key, None)
            return
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._max_buckets:
            self._full_at.popitem(last=False)


def _wait(charge: Charge, level: float, now: float) -> float:
    """Return the microseconds until the bucket has enough units; negative if it has."""
    if charge.cost < 0:
        return -1.0
    needed = max(charge.cost, 1) * charge.limit.emission
    return level + needed - now - charge.limit.capacity


def _state(charge: Charge, level: float, now: float) -> Decision:
    remaining = max(0, int((now + charge.limit.capacity - level) // charge.limit.emission))
    return Decision(True, charge.limit, remaining, whole_seconds(level - now))
