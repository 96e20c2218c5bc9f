"""Availability from a real Redis, as booking writes it there."""

from collections.abc import Sequence

from gateway.cache.availability_reader import Availability, Left, open_redis
from goticket.booking.v1 import booking_pb2 as pb
from redis.asyncio import Redis

EVENTS = [f"0197c0de-7a11-7b00-8a00-00000000000{number}" for number in range(3)]


class Booking:
    """Knows nothing, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    async def __call__(self, event_ids: Sequence[str]) -> Sequence[pb.EventAvailability]:
        self.asked.append(list(event_ids))
        return []


async def test_a_whole_page_is_read_from_redis(redis_url: str) -> None:
    booking = Booking()
    async with Redis.from_url(redis_url) as writer, open_redis(redis_url) as reader:
        for number, event_id in enumerate(EVENTS[:2]):
            await writer.hset(
                f"goticket:availability:{{{event_id}}}",
                mapping={"order": "b,a", "a": f"4:{number}", "b": "9:10"},
            )
        left = await Availability(reader, booking).of(EVENTS)
    assert left[EVENTS[0]] == Left({"b": 10, "a": 0})
    assert left[EVENTS[1]].total == 11
    assert booking.asked == [EVENTS[2:]]


async def test_an_entry_of_another_kind_is_no_entry(redis_url: str) -> None:
    booking = Booking()
    async with Redis.from_url(redis_url) as writer, open_redis(redis_url) as reader:
        await writer.set(f"goticket:availability:{{{EVENTS[0]}}}", "text")
        await Availability(reader, booking).of(EVENTS[:1])
    assert booking.asked == [EVENTS[:1]]


async def test_without_redis_booking_is_asked() -> None:
    booking = Booking()
    async with open_redis("redis://127.0.0.1:1/0") as reader:
        await Availability(reader, booking).of(EVENTS)
    assert booking.asked == [EVENTS]
