"""One log line and the RED metrics for every request, also for one whose handler blew up."""

import functools
import time

from goticket_platform.logs import get_logger
from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUESTS = Counter(
    "goticket_http_requests", "HTTP requests answered", ["method", "route", "status"]
)
SECONDS = Histogram(
    "goticket_http_request_duration_seconds",
    "Time to answer an HTTP request",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_FLIGHT = Gauge("goticket_http_requests_in_flight", "HTTP requests being answered")

UNMATCHED = "unmatched"
"""Route label of requests to no route, so that scanners cannot grow the label set."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

logger = get_logger("gateway.access")


class AccessLog:
    """Logs method, route template, path, status and duration; counts the same."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # What is on record when nothing was answered: the handler raised, or was cancelled.
        status = 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        IN_FLIGHT.inc()
        try:
            await self.app(scope, receive, send_and_note)
        finally:
            IN_FLIGHT.dec()
            _record(scope, status, time.perf_counter() - started)


@functools.cache  # bounded: UNMATCHED and OTHER stand for what strangers make up
def _counter(method: str, route: str, status: int) -> Counter:
    return REQUESTS.labels(method, route, str(status))


@functools.cache
def _timer(method: str, route: str) -> Histogram:
    return SECONDS.labels(method, route)


def answered(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answer."""
    _counter(method, route, status).inc()
    _timer(method, route).observe(seconds)


def _record(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"
    route: str = getattr(scope.get("route"), "path", UNMATCHED)
    answered(method, route, status, seconds)
    # The query string stays out: it may hold an e-mail address.
    logger.info(
        "request",
        method=scope["method"],
        route=route,
        path=scope["path"],
        status=status,
        duration_ms=round(seconds * 1000, 2),
    )
