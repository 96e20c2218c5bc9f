"""Metrics of HTTP requests: rate, errors, duration."""

import functools

from prometheus_client import Counter, Gauge, Histogram

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
REJECTED = Counter(
    "goticket_http_requests_rejected", "HTTP requests rejected because too many were in flight"
)

UNMATCHED = "unmatched"
"""Route label of requests that match no route, so that scanners cannot grow the label set."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def record_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count one response."""
    label = method if method in _METHODS else "OTHER"
    _counter(label, route, status).inc()
    _timer(label, route).observe(seconds)


def count_unserved(status: int) -> None:
    """Count the response to a request that did not reach the application."""
    _counter("OTHER", UNMATCHED, status).inc()


@functools.cache  # bounded: UNMATCHED and OTHER replace unknown routes and methods
def _counter(method: str, route: str, status: int) -> Counter:
    return REQUESTS.labels(method, route, str(status))


@functools.cache
def _timer(method: str, route: str) -> Histogram:
    return SECONDS.labels(method, route)
