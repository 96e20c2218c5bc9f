"""RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers), as structured fields."""

from gateway.http.responses import Headers
from gateway.rate_limits.buckets import Decision


def rate_limit_headers(decision: Decision) -> Headers:
    """Return the header fields that tell a client its limit, and when to retry if refused."""
    limit = decision.limit
    headers = [
        (b"ratelimit-policy", f'"{limit.name}";q={limit.quota};w={limit.window_seconds}'.encode()),
        (
            b"ratelimit",
            f'"{limit.name}";r={decision.remaining};t={decision.reset_seconds}'.encode(),
        ),
    ]
    if not decision.allowed:
        headers.append((b"retry-after", str(decision.retry_after).encode()))
    return headers
