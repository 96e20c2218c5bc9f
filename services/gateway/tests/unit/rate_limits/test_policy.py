"""Every route has a class with limits, and the settings have the documented numbers."""

import pytest
from fastapi import FastAPI
from gateway.config import GatewaySettings
from gateway.rate_limits.buckets import Limit
from gateway.rate_limits.local_limiter import LocalLimiter
from gateway.rate_limits.policy import RouteClass, parse_limit, route_class
from starlette.routing import Route

EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
UNLIMITED_BY_REDIS = {
    ("GET", "/health"): RouteClass.PROBE,
    ("GET", "/health/db"): RouteClass.PROBE,
    ("GET", "/livez"): RouteClass.PROBE,
    ("GET", "/readyz"): RouteClass.PROBE,
    ("GET", "/metrics"): RouteClass.PROBE,
    ("GET", "/openapi.json"): RouteClass.CACHED_READ,
    ("GET", "/docs"): RouteClass.CACHED_READ,
    ("GET", "/docs/{name}"): RouteClass.CACHED_READ,
    ("GET", "/api/v1/events"): RouteClass.CACHED_READ,
    ("GET", "/api/v1/events/{event_id}"): RouteClass.CACHED_READ,
    ("GET", "/api/v1/events/{event_id}/availability"): RouteClass.CACHED_READ,
    ("GET", "/.well-known/jwks.json"): RouteClass.CACHED_READ,
    ("GET", "/.well-known/ticket-keys.json"): RouteClass.CACHED_READ,
}
STRICTER = {
    ("POST", "/api/v1/auth/login"): RouteClass.LOGIN,
    ("POST", "/api/v1/auth/register"): RouteClass.SIGN_UP,
    ("POST", "/api/v1/events/{event_id}/bookings"): RouteClass.BOOKING,
    ("GET", "/api/v1/tickets/{ticket_id}/qr.svg"): RouteClass.DOCUMENT,
    ("GET", "/api/v1/tickets/{ticket_id}/ticket.pdf"): RouteClass.DOCUMENT,
}


def test_every_route_without_a_class_of_its_own_is_limited_in_redis(app: FastAPI) -> None:
    expected = UNLIMITED_BY_REDIS | STRICTER
    documented = {
        (method.upper(), path) for path, item in app.openapi()["paths"].items() for method in item
    }
    hidden = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    for method, path in documented | hidden | expected.keys():
        found = route_class(method, path.replace("{event_id}", EVENT))
        assert found is expected.get((method, path), RouteClass.OTHER), (method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/livez"),
        ("GET", "/livez/x"),
        ("POST", "/api/v1/events"),
        ("DELETE", f"/api/v1/events/{EVENT}"),
        ("GET", f"/api/v1/events/{EVENT}/bookings"),
        ("GET", "/api/v1/auth/login"),
        ("GET", "/nothing"),
    ],
)
def test_a_similar_request_is_no_exception(method: str, path: str) -> None:
    assert route_class(method, path) is RouteClass.OTHER


def test_head_has_the_limits_of_get() -> None:
    for method, path in UNLIMITED_BY_REDIS:
        assert route_class("HEAD", path) is route_class(method, path)


def test_the_limits_are_those_of_the_documents(settings: GatewaySettings) -> None:
    limits = settings.rate_limits
    by_name = {
        "failed-logins-per-address": (10, 900, 0),
        "failed-logins-per-email": (5, 900, 0),
        "unknown-routes-per-address": (10, 900, 3600),
    }
    found = {
        each.name: (each.quota, each.window_seconds, each.block_seconds)
        for each in vars(limits).values()
    }
    assert {name: found[name] for name in by_name} == by_name


def test_bookings_sign_ups_and_documents_are_limited_more_strictly(
    settings: GatewaySettings,
) -> None:
    limits = settings.rate_limits

    def rate(limit: Limit) -> float:
        return limit.quota / limit.window_seconds

    assert rate(limits.bookings_per_user) < rate(limits.requests_per_user)
    assert rate(limits.documents_per_user) < rate(limits.requests_per_user)
    for limit in (
        limits.bookings_per_address,
        limits.documents_per_address,
        limits.sign_ups_per_address,
    ):
        assert rate(limit) < rate(limits.requests_per_address)


def test_taking_a_unit_decides_as_a_charge_does() -> None:
    now = 0.0
    limit = parse_limit("reads", "3/6")
    limiter = LocalLimiter(lambda: now)
    assert [limiter.take(limit, "a") for _ in range(5)] == [True] * 3 + [False] * 2
    assert limiter.seconds_until(limit, "a") == 2
    now += 2
    assert [limiter.take(limit, "a") for _ in range(2)] == [True, False]
    assert limiter.take(limit, "b")
    now += 60
    assert [limiter.take(limit, "a") for _ in range(5)] == [True] * 3 + [False] * 2
