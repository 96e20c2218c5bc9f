"""Sold-out ticket types are cached for a second, and no other request is rejected."""

from collections.abc import Callable

import grpc
import httpx
import pytest
from gateway.booking_submission.sold_out_cache import (
    MAX_ENTRIES,
    ONLY_TYPE,
    TTL_SECONDS,
    SoldOutCache,
)
from goticket.booking.v1 import booking_pb2 as pb
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
    return SoldOutCache(clock)


def request_for(*types: str, event: str = EVENT, key: str = "") -> pb.CreateBookingRequest:
    lines = [pb.BookingLine(ticket_type_id=kind, quantity=1) for kind in types or (TYPE,)]
    return pb.CreateBookingRequest(event_id=event, lines=lines, idempotency_key=key)


SOLD_OUT = {"ticketTypeId": TYPE, "available": "0"}


def test_an_empty_cache_rejects_nothing(cache: SoldOutCache) -> None:
    assert not cache.rejects(request_for())


def test_a_rejection_is_cached_for_its_ticket_type_only(cache: SoldOutCache) -> None:
    cache.record(request_for(TYPE, OTHER_TYPE), SOLD_OUT)
    assert cache.rejects(request_for())
    assert cache.rejects(request_for(OTHER_TYPE, TYPE))
    assert not cache.rejects(request_for(OTHER_TYPE))
    assert not cache.rejects(request_for(ONLY_TYPE))
    assert not cache.rejects(request_for(event=OTHER_EVENT))


def test_the_only_type_of_an_event_needs_no_id(cache: SoldOutCache) -> None:
    cache.record(request_for(ONLY_TYPE), SOLD_OUT)
    assert cache.rejects(request_for(ONLY_TYPE))
    assert cache.rejects(request_for(TYPE))
    cache.update(EVENT, TYPE, available=1, version=2)
    assert not cache.rejects(request_for(ONLY_TYPE))
    assert not cache.rejects(request_for(TYPE))


@pytest.mark.parametrize(
    "metadata", [{}, {"ticketTypeId": TYPE}, {"available": "0"}, {**SOLD_OUT, "available": "3"}]
)
def test_a_rejection_of_a_large_request_is_not_cached(
    cache: SoldOutCache, metadata: dict[str, str]
) -> None:
    cache.record(request_for(), metadata)
    assert not cache.rejects(request_for())


def test_an_entry_expires_unless_booking_rejects_again(cache: SoldOutCache, clock: Clock) -> None:
    cache.record(request_for(), SOLD_OUT)
    clock.now += TTL_SECONDS * 0.9
    cache.record(request_for(), SOLD_OUT)
    clock.now += TTL_SECONDS * 0.9
    assert cache.rejects(request_for())
    clock.now += TTL_SECONDS * 0.1
    assert not cache.rejects(request_for())


def test_a_message_updates_an_entry(cache: SoldOutCache) -> None:
    cache.update(EVENT, TYPE, available=0, version=7)
    assert cache.rejects(request_for())
    cache.update(EVENT, TYPE, available=2, version=8)
    assert not cache.rejects(request_for())


def test_an_older_message_changes_nothing(cache: SoldOutCache) -> None:
    cache.update(EVENT, TYPE, available=2, version=8)
    cache.update(EVENT, TYPE, available=0, version=7)
    assert not cache.rejects(request_for())


def test_a_request_with_an_idempotency_key_is_never_rejected(
    cache: SoldOutCache,
) -> None:
    cache.record(request_for(), SOLD_OUT)
    assert not cache.rejects(request_for(key="order-17"))


def test_the_cache_is_bounded(cache: SoldOutCache) -> None:
    for number in range(MAX_ENTRIES + 5):
        cache.update(EVENT, f"type-{number}", available=0, version=1)
    assert len(cache._entries) == MAX_ENTRIES


def test_the_extensions_are_those_of_bookings_rejection(cache: SoldOutCache) -> None:
    cache.record(request_for(TYPE, OTHER_TYPE), {**SOLD_OUT, "ticketTypeId": OTHER_TYPE})
    assert cache.extensions(request_for(TYPE, OTHER_TYPE)) == {
        "ticketTypeId": OTHER_TYPE,
        "available": 0,
    }
    cache.record(request_for(ONLY_TYPE), SOLD_OUT)
    assert cache.extensions(request_for(ONLY_TYPE)) == {"available": 0}


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
