"""A bound on requests in flight, for the routes that have none of their own."""

import re

from prometheus_client import Counter
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.problems import Problem, problem_response

MAX_IN_FLIGHT = 2_000
"""Requests of one process at once. Reads take milliseconds, so this many are in flight only
when what they wait for is stuck, or half of each is missing (`http_protocol` waits ten seconds
for the rest), and all that more of them would do is to take memory."""

REFUSED = Counter(
    "goticket_http_requests_rejected", "HTTP requests refused because too many were in flight"
)

_BOOKINGS = re.compile(r"/api/v1/events/[^/]+/bookings")
_PROBES = frozenset({"/health", "/livez", "/readyz", "/metrics"})


class InFlight:
    """Refuses at once, unread and as "busy", whoever comes while `most` requests are in flight.

    Bookings have bounded queues of their own. Probes and metrics are answered whatever happens: a
    gateway that is full is alive, and has to be seen.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self._most = most
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or _is_exempt(scope):
            await self.app(scope, receive, send)
            return
        if self._in_flight >= self._most:
            REFUSED.inc()
            await problem_response(scope, Problem("busy"))(scope, receive, send)
            return
        self._in_flight += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._in_flight -= 1


def _is_exempt(scope: Scope) -> bool:
    path: str = scope["path"]
    return path in _PROBES or (scope["method"] == "POST" and _BOOKINGS.fullmatch(path) is not None)
