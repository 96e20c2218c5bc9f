"""Sold-out ticket types are cached for a second, and no other request is rejected."""

from collections.abc import Callable
from typing import Any

import grpc
import httpx
import pytest
from gateway.booking_submission.sold_out_cache import (
    ONLY_TYPE,
    RENEW_AFTER_SECONDS,
    TTL_SECONDS,
    SoldOutCache,
)
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.caching import CacheBudget
from goticket_testing.scripted import ScriptedBackends, ScriptedError

EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
OTHER_EVENT = "0197c0de-7a11-7b00-8a00-0000000000e2"
TYPE = "0197c0de-7a11-7b00-8a00-0000000000a1"
OTHER_TYPE = "0197c0de-7a11-7b00-8a00-0000000000a2"
URL = f"/api/v1/events/{EVENT}/bookings"

Bearer = Callable[..., dict[str, str]]


class DetailedScriptedError(ScriptedError):
    """A rejection with metadata."""

    def __init__(self, status: grpc.StatusCode, code: str, metadata: dict[str, str]) -> None:
        super().__init__(status, code)
        self.metadata = metadata


class Clock:
    """Monotonic seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> SoldOutCache:
    return SoldOutCache(CacheBudget(1 << 20, clock))


def request_for(*types: str) -> pb.CreateBookingRequest:
    lines = [pb.BookingLine(ticket_type_id=kind, quantity=1) for kind in types or (TYPE,)]
    return pb.CreateBookingRequest(event_id=EVENT, lines=lines)


def is_sold_out(cache: SoldOutCache, *types: str, event: str = EVENT) -> bool:
    return cache.find_sold_out(event, types or (TYPE,)) is not None


SOLD_OUT = {"ticketTypeId": TYPE, "available": "0"}


def test_an_empty_cache_rejects_nothing(cache: SoldOutCache) -> None:
    assert not is_sold_out(cache)


def test_a_rejection_is_cached_for_its_ticket_type_only(cache: SoldOutCache) -> None:
    cache.record(request_for(TYPE, OTHER_TYPE), SOLD_OUT)
    assert is_sold_out(cache)
    assert is_sold_out(cache, OTHER_TYPE, TYPE)
    assert not is_sold_out(cache, OTHER_TYPE)
    assert not is_sold_out(cache, ONLY_TYPE)
    assert not is_sold_out(cache, event=OTHER_EVENT)


def test_the_only_type_of_an_event_needs_no_id(cache: SoldOutCache) -> None:
    cache.record(request_for(ONLY_TYPE), SOLD_OUT)
    assert is_sold_out(cache, ONLY_TYPE)
    assert is_sold_out(cache, TYPE)
    cache.update(EVENT, TYPE, available=1, version=2)
    assert not is_sold_out(cache, ONLY_TYPE)
    assert not is_sold_out(cache, TYPE)


@pytest.mark.parametrize(
    "metadata", [{}, {"ticketTypeId": TYPE}, {"available": "0"}, {**SOLD_OUT, "available": "3"}]
)
def test_a_rejection_of_a_large_request_is_not_cached(
    cache: SoldOutCache, metadata: dict[str, str]
) -> None:
    cache.record(request_for(), metadata)
    assert not is_sold_out(cache)


def test_an_entry_expires_unless_booking_rejects_again(cache: SoldOutCache, clock: Clock) -> None:
    cache.record(request_for(), SOLD_OUT)
    clock.now += TTL_SECONDS * 0.9
    cache.record(request_for(), SOLD_OUT)
    clock.now += TTL_SECONDS * 0.9
    assert is_sold_out(cache)
    clock.now += TTL_SECONDS * 0.1
    assert not is_sold_out(cache)


def test_a_message_updates_an_entry(cache: SoldOutCache) -> None:
    cache.update(EVENT, TYPE, available=0, version=7)
    assert is_sold_out(cache)
    cache.update(EVENT, TYPE, available=2, version=8)
    assert not is_sold_out(cache)


def test_an_older_message_changes_nothing(cache: SoldOutCache) -> None:
    cache.update(EVENT, TYPE, available=2, version=8)
    cache.update(EVENT, TYPE, available=0, version=7)
    assert not is_sold_out(cache)


def test_the_first_sold_out_type_of_a_request_is_found(cache: SoldOutCache) -> None:
    cache.record(request_for(TYPE, OTHER_TYPE), {**SOLD_OUT, "ticketTypeId": OTHER_TYPE})
    assert cache.find_sold_out(EVENT, [TYPE, OTHER_TYPE]) == OTHER_TYPE
    cache.record(request_for(ONLY_TYPE), SOLD_OUT)
    assert cache.find_sold_out(EVENT, [ONLY_TYPE]) == ONLY_TYPE


def test_frequent_rejections_renew_an_entry_now_and_then(cache: SoldOutCache, clock: Clock) -> None:
    cache.record(request_for(), SOLD_OUT)
    for _ in range(20):
        clock.now += RENEW_AFTER_SECONDS * 0.9
        cache.record(request_for(), SOLD_OUT)
    clock.now += TTL_SECONDS - RENEW_AFTER_SECONDS - 0.001
    assert is_sold_out(cache)


@pytest.mark.parametrize(
    ("body", "extensions"),
    [
        ({"quantity": 1}, {"available": 0}),
        (
            {"items": [{"ticketTypeId": TYPE, "quantity": 1}]},
            {"available": 0, "ticketTypeId": TYPE},
        ),
    ],
)
async def test_the_cache_names_the_sold_out_type_as_booking_does(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    body: dict[str, Any],
    extensions: dict[str, Any],
) -> None:
    backends.answers["CreateBooking"] = DetailedScriptedError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "sold_out", SOLD_OUT
    )
    await client.post(URL, json=body, headers=bearer())
    answer = (await client.post(URL, json=body, headers=bearer())).json()
    assert len(backends.requests["CreateBooking"]) == 1
    found = {name: answer.get(name) for name in ("available", "ticketTypeId") if name in answer}
    assert found == extensions


async def test_requests_for_a_sold_out_event_cost_one_call(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, booking: pb.Booking
) -> None:
    backends.answers["CreateBooking"] = DetailedScriptedError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "sold_out", SOLD_OUT
    )
    for _ in range(3):
        answer = await client.post(URL, json={"quantity": 1}, headers=bearer())
        assert (answer.status_code, answer.json()["error"]) == (409, "sold_out")
        assert answer.json()["available"] == 0
    assert len(backends.requests["CreateBooking"]) == 1
    # A repeat of a granted request gets its first answer.
    backends.answers["CreateBooking"] = pb.CreateBookingResponse(booking=booking, replayed=True)
    headers = bearer() | {"Idempotency-Key": "order-17"}
    answer = await client.post(URL, json={"quantity": 1}, headers=headers)
    assert (answer.status_code, answer.headers["Idempotency-Replayed"]) == (201, "true")
    for headers, body, status in (
        ({}, {"quantity": 1}, 401),
        (bearer(), {"quantity": 0}, 422),
    ):
        assert (await client.post(URL, json=body, headers=headers)).status_code == status


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"1", "2", "3"}),
        ({"retryAfter": "7"}, {"7", "8", "9"}),
        ({"retryAfter": "-"}, {"1", "2", "3"}),
    ],
)
async def test_retry_after_is_spread_from_what_the_service_asks_for(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    asked: dict[str, str],
    expected: set[str],
) -> None:
    backends.answers["CreateBooking"] = DetailedScriptedError(
        grpc.StatusCode.UNAVAILABLE, "busy", asked
    )
    seen = set()
    for _ in range(100):
        answer = await client.post(URL, json={"quantity": 1}, headers=bearer())
        assert answer.status_code == 503
        seen.add(answer.headers["Retry-After"])
    # A value is missing in a hundred tries with a probability of 10**-17.
    assert seen == expected
