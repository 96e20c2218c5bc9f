"""Availability: Redis first, booking when it must, and a dead Redis costs nothing."""

from collections.abc import Sequence
from typing import Any, Self, cast

import pytest
import redis.asyncio as redis
from gateway.cache.availability_reader import BREAK_SECONDS, UNPROVISIONED, Availability, Left
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.rpc.errors import RemoteError
from grpc import StatusCode

A, B, T1, T2 = "event-a", "event-b", "type-1", "type-2"


class Cache:
    """The few commands that availability uses; counts round trips, breaks on demand."""

    def __init__(self, **hashes: dict[str, str]) -> None:
        self.hashes = {f"goticket:availability:{{{key}}}": value for key, value in hashes.items()}
        self.error: Exception | None = None
        self.round_trips = 0
        self._asked: list[str] = []

    def pipeline(self, *, transaction: bool) -> "Cache":
        assert not transaction
        self._asked = []
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def hgetall(self, key: str) -> None:
        self._asked.append(key)

    async def execute(self) -> list[dict[str, str]]:
        self.round_trips += 1
        if self.error:
            raise self.error
        return [self.hashes.get(key, {}) for key in self._asked]


class Booking:
    """Knows event A."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.away = False

    async def __call__(self, event_ids: Sequence[str]) -> Sequence[pb.EventAvailability]:
        self.asked.append(list(event_ids))
        if self.away:
            raise RemoteError(StatusCode.UNAVAILABLE, "unavailable", "away")
        kinds = [pb.TicketTypeAvailability(ticket_type_id=T1, available=3)]
        return [pb.EventAvailability(event_id=A, available=3, ticket_types=kinds)]


def reader(cache: Cache, booking: Booking, now: list[float] | None = None) -> Availability:
    clock = now or [0.0]
    return Availability(cast("redis.Redis", cache), booking, lambda: clock[0])


async def test_a_page_is_one_round_trip_and_no_call_to_booking() -> None:
    entry = {"order": f"{T2},{T1}", T1: "7:5", T2: "9:0"}
    cache, booking = Cache(**{A: entry, B: entry}), Booking()
    left = await reader(cache, booking).of([A, B])
    assert left == {A: Left({T2: 0, T1: 5}), B: Left({T2: 0, T1: 5})}
    assert list(left[A].ticket_types) == [T2, T1]
    assert left[A].total == 5
    assert (cache.round_trips, booking.asked) == (1, [])


@pytest.mark.parametrize(
    "entry",
    [{}, {"order": f"{T1},{T2}", T1: "1:5"}, {"order": T1, T1: "five"}, {T1: "1:5"}, {"order": ""}],
)
async def test_what_redis_does_not_have_whole_is_asked_of_booking_at_once(
    entry: dict[str, str],
) -> None:
    cache, booking = Cache(**{A: entry}), Booking()
    left = await reader(cache, booking).of([A, B])
    assert left == {A: Left({T1: 3}), B: UNPROVISIONED}
    assert booking.asked == [[A, B]]


@pytest.mark.parametrize(
    "error", [redis.ConnectionError(), redis.TimeoutError(), OSError(), redis.ResponseError()]
)
async def test_a_redis_that_failed_is_left_alone_for_a_moment(error: Exception) -> None:
    cache, booking, now = Cache(), Booking(), [100.0]
    availability = reader(cache, booking, now)
    cache.error = error
    for _ in range(5):
        assert (await availability.of([A]))[A].total == 3
    assert cache.round_trips == 1
    now[0] += BREAK_SECONDS
    await availability.of([A])
    assert cache.round_trips == 2


async def test_when_nobody_knows_it_is_said_or_left_open() -> None:
    cache, booking = Cache(), Booking()
    cache.error, booking.away = redis.ConnectionError(), True
    availability = reader(cache, booking)
    assert await availability.if_known([A]) == {}
    with pytest.raises(RemoteError):
        await availability.of([A])


async def test_nothing_is_asked_about_no_events() -> None:
    cache, booking = Cache(), Booking()
    empty: list[Any] = []
    assert await reader(cache, booking).of(empty) == {}
    assert (cache.round_trips, booking.asked) == (0, [])
