"""Availability from a real Redis, as booking writes it there."""

from collections.abc import Sequence

from gateway.bootstrap import REDIS_CONNECTIONS, REDIS_SECONDS
from gateway.cache.availability_reader import Availability, AvailabilityReader
from goticket.booking.v1 import booking_pb2 as pb
from goticket_contracts.redis_names import availability_key
from goticket_platform.caching import CacheBudget, SharedCache, open_cache_redis
from redis.asyncio import Redis

EVENTS = [f"0197c0de-7a11-7b00-8a00-00000000000{number}" for number in range(3)]


class Booking:
    """Knows no event, and records the requests."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []

    async def __call__(self, event_ids: Sequence[str]) -> Sequence[pb.EventAvailability]:
        self.requests.append(list(event_ids))
        return []


def open_client(url: str) -> Redis:
    return open_cache_redis(url, timeout=REDIS_SECONDS, max_connections=REDIS_CONNECTIONS)


async def test_a_whole_page_is_read_from_redis(redis_url: str) -> None:
    booking = Booking()
    async with Redis.from_url(redis_url) as writer, open_client(redis_url) as client:
        for number, event_id in enumerate(EVENTS[:2]):
            await writer.hset(
                availability_key(event_id),
                mapping={"order": "b,a", "a": f"4:{number}", "b": "9:10"},
            )
        found = await AvailabilityReader(SharedCache(client), booking, CacheBudget(1 << 20)).of(
            EVENTS
        )
    assert found[EVENTS[0]] == Availability({"b": 10, "a": 0})
    assert found[EVENTS[1]].total == 11
    assert booking.requests == [EVENTS[2:]]


async def test_an_entry_of_another_type_is_ignored(redis_url: str) -> None:
    booking = Booking()
    async with Redis.from_url(redis_url) as writer, open_client(redis_url) as client:
        await writer.set(availability_key(EVENTS[0]), "text")
        await AvailabilityReader(SharedCache(client), booking, CacheBudget(1 << 20)).of(EVENTS[:1])
    assert booking.requests == [EVENTS[:1]]


async def test_without_redis_availability_is_read_from_booking() -> None:
    booking = Booking()
    async with open_client("redis://127.0.0.1:1/0") as client:
        await AvailabilityReader(SharedCache(client), booking, CacheBudget(1 << 20)).of(EVENTS)
    assert booking.requests == [EVENTS]
