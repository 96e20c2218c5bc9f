"""Token buckets in Redis, shared by all gateways: one script call for many requests."""

from collections.abc import Sequence
from importlib.resources import files

import orjson
from goticket_platform.caching import CircuitBreaker
from goticket_platform.logs import get_logger
from prometheus_client import Counter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.rate_limits.buckets import (
    MICROSECONDS,
    Charge,
    Decision,
    Limit,
    RateLimiter,
    whole_seconds,
)

KEY_PREFIX = "rate-limit:"

UNAVAILABLE = Counter(
    "goticket_gateway_rate_limits_local", "Decisions made without Redis, by this process alone"
)

_SCRIPT = files(__package__).joinpath("redis_limiter.lua").read_text()

logger = get_logger(__name__)


class RedisLimiter:
    """Decides in Redis; `fallback` decides while Redis does not answer.

    So without Redis limits hold for each process alone, and requests are still served.
    """

    def __init__(
        self, client: Redis, fallback: RateLimiter, breaker: CircuitBreaker | None = None
    ) -> None:
        self._script = client.register_script(_SCRIPT)
        self._fallback = fallback
        self._breaker = breaker or CircuitBreaker()

    async def admit(self, requests: Sequence[Sequence[Charge]]) -> list[Decision]:
        """See `RateLimiter`."""
        if not requests:
            return []
        if not self._breaker.is_open:
            try:
                return await self._admit(requests)
            except (RedisError, OSError, TimeoutError) as error:
                self._breaker.record_failure()
                logger.warning("rate limits are local for a moment", error=type(error).__name__)
        UNAVAILABLE.inc(len(requests))
        return await self._fallback.admit(requests)

    async def _admit(self, requests: Sequence[Sequence[Charge]]) -> list[Decision]:
        keys: dict[str, int] = {}
        limits: dict[Limit, int] = {}
        batch = [
            [
                number
                for limit, client, cost in charges
                for number in (
                    keys.setdefault(f"{KEY_PREFIX}{limit.name}:{client}", len(keys) + 1),
                    limits.setdefault(limit, len(limits) + 1),
                    cost,
                )
            ]
            for charges in requests
        ]
        numbers = [
            (limit.emission, limit.capacity, limit.block_seconds * MICROSECONDS) for limit in limits
        ]
        argument = orjson.dumps({"limits": numbers, "requests": batch})
        answers: list[int] = orjson.loads(await self._script(keys=list(keys), args=[argument]))
        return [
            _decision(charges, *answers[4 * number : 4 * number + 4])
            for number, charges in enumerate(requests)
        ]


def _decision(
    charges: Sequence[Charge], decisive: int, allowed: int, until_full: int, wait: int
) -> Decision:
    limit = charges[decisive - 1].limit
    reset = whole_seconds(until_full)
    if not allowed:
        return Decision(False, limit, 0, reset, retry_after=max(1, whole_seconds(wait)))
    remaining = max(0, (limit.capacity - until_full) // limit.emission)
    return Decision(True, limit, remaining, reset)
