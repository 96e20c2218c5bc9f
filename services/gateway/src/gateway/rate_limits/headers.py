"""RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers), as structured fields."""

import functools

from gateway.http.responses import Headers
from gateway.rate_limits.buckets import Decision, Limit


def rate_limit_headers(decision: Decision) -> Headers:
    """Return the header fields that tell a client its limit, and when to retry if refused."""
    name, policy = _texts(decision.limit)
    state = b"%b;r=%d;t=%d" % (name, decision.remaining, decision.reset_seconds)
    headers = [(b"ratelimit-policy", policy), (b"ratelimit", state)]
    if not decision.allowed:
        headers.append((b"retry-after", b"%d" % decision.retry_after))
    return headers


@functools.lru_cache(maxsize=64)
def _texts(limit: Limit) -> tuple[bytes, bytes]:
    """Return a limit's name and its policy; there are as many limits as settings."""
    name = f'"{limit.name}"'
    return name.encode(), f"{name};q={limit.quota};w={limit.window_seconds}".encode()
