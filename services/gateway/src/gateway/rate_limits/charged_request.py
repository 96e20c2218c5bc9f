"""A request with its charges, which waits for the decision about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import Counter

from gateway.http.exchange import HttpExchange
from gateway.http.problems import Problem
from gateway.rate_limits.buckets import Charge, Decision, RateLimiter
from gateway.rate_limits.headers import rate_limit_headers

REFUSED = Counter("goticket_gateway_rate_limited", "Requests refused by a rate limit", ["limit"])


@dataclass(frozen=True, slots=True, eq=False)
class ChargedRequest:
    """A request that limits count; as a key it equals only itself."""

    charges: Sequence[Charge]
    exchange: HttpExchange

    def apply(self, decision: Decision) -> Problem | None:
        """Let the response tell the decision; return the problem of a refused request."""
        self.exchange.limit_headers = rate_limit_headers(decision)
        if decision.allowed:
            return None
        return refusal(decision.limit.name)


async def admit(limiter: RateLimiter, requests: Sequence[ChargedRequest]) -> list[Problem | None]:
    """Decide about requests with one call; return the problem of each refused one."""
    decisions = await limiter.admit([request.charges for request in requests])
    return [request.apply(decision) for request, decision in zip(requests, decisions, strict=True)]


def refusal(limit: str) -> Problem:
    """Count a refused request and return its problem."""
    REFUSED.labels(limit).inc()
    return Problem("rate_limited")
