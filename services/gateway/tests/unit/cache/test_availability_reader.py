"""Availability: from Redis, else from booking, without waiting for a dead Redis."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import redis.asyncio as redis
from gateway.cache.availability_reader import (
    TTL_SECONDS,
    UNPROVISIONED,
    Availability,
    AvailabilityReader,
)
from goticket.booking.v1 import booking_pb2 as pb
from goticket_contracts.redis_names import availability_key
from goticket_platform.caching import RESET_SECONDS, CacheBudget, CircuitBreaker, SharedCache
from goticket_platform.rpc.errors import RemoteError
from grpc import StatusCode

A, B, T1, T2 = "event-a", "event-b", "type-1", "type-2"


class Booking:
    """Knows event A."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []
        self.down = False

    async def __call__(self, event_ids: Sequence[str]) -> Sequence[pb.EventAvailability]:
        self.requests.append(list(event_ids))
        if self.down:
            raise RemoteError(StatusCode.UNAVAILABLE, "unavailable", "down")
        kinds = [pb.TicketTypeAvailability(ticket_type_id=T1, available=3)]
        return [pb.EventAvailability(event_id=A, available=3, ticket_types=kinds)]


@pytest.fixture
def booking() -> Booking:
    return Booking()


@pytest.fixture
def reader(server: Any, booking: Booking, clock: Any) -> AvailabilityReader:
    shared = SharedCache(server, CircuitBreaker(clock))
    return AvailabilityReader(shared, booking, CacheBudget(1 << 20, clock))


async def test_a_page_is_one_round_trip_and_no_call_to_booking(
    reader: AvailabilityReader, server: Any, booking: Booking
) -> None:
    fields = {"order": f"{T2},{T1}", T1: "7:5", T2: "9:0"}
    server.entries = {availability_key(A): fields, availability_key(B): fields}
    found = await reader.of([A, B])
    assert found == {A: Availability({T2: 0, T1: 5}), B: Availability({T2: 0, T1: 5})}
    assert list(found[A].ticket_types) == [T2, T1]
    assert found[A].total == 5
    assert (server.round_trips, booking.requests) == (1, [])


async def test_concurrent_reads_share_a_round_trip_that_begins_after_them(
    reader: AvailabilityReader, server: Any
) -> None:
    fields = {"order": T1, T1: "1:5"}
    server.entries = {availability_key(A): fields, availability_key(B): fields}
    reads = [asyncio.create_task(reader.load(event_id)) for event_id in [A, B] * 10]
    await asyncio.sleep(0)
    server.entries[availability_key(A)] = {"order": T1, T1: "2:4"}
    totals = [found.value.total for found in await asyncio.gather(*reads)]
    assert totals == [4, 5] * 10
    assert server.round_trips == 1


@pytest.mark.parametrize(
    "fields",
    [{}, {"order": f"{T1},{T2}", T1: "1:5"}, {"order": T1, T1: "five"}, {T1: "1:5"}, {"order": ""}],
)
async def test_entries_missing_in_redis_are_read_from_booking_in_one_call(
    reader: AvailabilityReader, server: Any, booking: Booking, fields: dict[str, str]
) -> None:
    server.entries = {availability_key(A): fields}
    assert await reader.of([A, B]) == {A: Availability({T1: 3}), B: UNPROVISIONED}
    assert booking.requests == [[A, B]]


@pytest.mark.parametrize(
    "error", [redis.ConnectionError(), redis.TimeoutError(), OSError(), redis.ResponseError()]
)
async def test_redis_is_skipped_for_a_moment_after_a_failure(
    reader: AvailabilityReader, server: Any, clock: Any, error: Exception
) -> None:
    server.error = error
    for _ in range(5):
        assert (await reader.load(A)).value.total == 3
    assert server.round_trips == 1
    clock.now += RESET_SECONDS
    await reader.load(A)
    assert server.round_trips == 2


async def test_without_any_source_availability_is_unknown_or_an_error(
    reader: AvailabilityReader, server: Any, booking: Booking
) -> None:
    server.error, booking.down = redis.ConnectionError(), True
    assert await reader.if_known([A]) == {}
    assert await reader.load_if_known(A) is None
    with pytest.raises(RemoteError):
        await reader.of([A])
    with pytest.raises(RemoteError):
        await reader.load(A)


async def test_no_events_need_no_call(
    reader: AvailabilityReader, server: Any, booking: Booking
) -> None:
    assert await reader.of([]) == {}
    assert (server.round_trips, booking.requests) == (0, [])


async def test_while_redis_reports_writes_an_entry_is_cached_until_its_key_is_written(
    reader: AvailabilityReader, server: Any
) -> None:
    reader.set_tracking(True)
    server.entries[availability_key(A)] = {"order": T1, T1: "1:5"}
    for _ in range(3):
        assert (await reader.load(A)).value.total == 5
    assert server.round_trips == 1
    server.entries[availability_key(A)] = {"order": T1, T1: "2:4"}
    reader.on_write(availability_key(B))
    assert (await reader.load(A)).value.total == 5
    reader.on_write(availability_key(A))
    assert (await reader.load(A)).value.total == 4
    server.entries[availability_key(A)] = {"order": T1, T1: "3:3"}
    reader.on_write(None)
    assert (await reader.load(A)).value.total == 3


async def test_an_entry_is_cached_for_a_second_at_most(
    reader: AvailabilityReader, server: Any, clock: Any
) -> None:
    reader.set_tracking(True)
    server.entries[availability_key(A)] = {"order": T1, T1: "1:5"}
    assert (await reader.load(A)).value.total == 5
    server.entries[availability_key(A)] = {"order": T1, T1: "2:4"}
    clock.now += TTL_SECONDS
    assert (await reader.load(A)).value.total == 4


async def test_nothing_is_cached_once_the_reports_are_lost(
    reader: AvailabilityReader, server: Any
) -> None:
    reader.set_tracking(True)
    server.entries[availability_key(A)] = {"order": T1, T1: "1:5"}
    await reader.load(A)
    reader.set_tracking(False)
    for available in (4, 3):
        server.entries[availability_key(A)] = {"order": T1, T1: f"2:{available}"}
        assert (await reader.load(A)).value.total == available
