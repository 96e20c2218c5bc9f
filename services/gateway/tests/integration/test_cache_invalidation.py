"""Messages of a real Redis and a real RabbitMQ invalidate the caches of every gateway."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from gateway.booking_submission.sold_out_cache import SoldOutCache
from gateway.cache.availability_reader import KEY_PREFIX, AvailabilityReader
from gateway.cache.cache_invalidation import KeyTracking, subscribe
from goticket.booking.v1 import booking_pb2 as pb
from goticket_contracts.redis_names import SOLD_OUT_CHANNEL, availability_key
from goticket_platform.caching import CacheBudget, SharedCache
from redis.asyncio import Redis

DEADLINE = 20.0


def _budget() -> CacheBudget:
    return CacheBudget(1 << 20, lambda: 0.0)


@asynccontextmanager
async def subscribed(url: str, cache: SoldOutCache, received: list[str]) -> AsyncIterator[None]:
    ready = asyncio.Event()

    def on_message(message: Mapping[str, Any]) -> None:
        cache.on_message(message)
        received.append("message")

    task = asyncio.create_task(subscribe(url, {SOLD_OUT_CHANNEL: on_message}, ready.set))
    try:
        await asyncio.wait_for(ready.wait(), DEADLINE)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_message_updates_the_sold_out_cache_of_every_gateway(redis_url: str) -> None:
    caches = [SoldOutCache(_budget()), SoldOutCache(_budget())]
    received: list[str] = []
    async with (
        Redis.from_url(redis_url) as booking,
        subscribed(redis_url, caches[0], received),
        subscribed(redis_url, caches[1], received),
    ):
        for number, available in enumerate((0, 3, 0)):
            message = {"eventId": "e", "ticketTypeId": "t", "available": available}
            await booking.publish(SOLD_OUT_CHANNEL, "nonsense")
            await booking.publish(SOLD_OUT_CHANNEL, json.dumps(message | {"version": number}))
            async with asyncio.timeout(DEADLINE):
                while len(received) < 2 * number + 2:
                    await asyncio.sleep(0.01)
            assert [cache.find_sold_out("e", ["t"]) is not None for cache in caches] == [
                available == 0
            ] * 2


async def test_a_lost_connection_is_restored(redis_url: str) -> None:
    cache, received = SoldOutCache(_budget()), list[str]()
    async with Redis.from_url(redis_url) as booking, subscribed(redis_url, cache, received):
        message = {"eventId": "e", "ticketTypeId": "t", "available": 0, "version": 1}
        await booking.client_kill_filter(_type="pubsub")
        async with asyncio.timeout(DEADLINE):
            while not received:
                await booking.publish(SOLD_OUT_CHANNEL, json.dumps(message))
                await asyncio.sleep(0.05)
    assert cache.find_sold_out("e", ["t"]) == "t"


class Tracked:
    """An availability reader with a stopped clock, and the state of its key tracking."""

    def __init__(self, client: Redis) -> None:
        self.reader = AvailabilityReader(SharedCache(client), self._no_booking, _budget())
        self.active: list[bool] = []

    async def _no_booking(self, _event_ids: Sequence[str]) -> Sequence[pb.EventAvailability]:
        raise AssertionError("Redis has every event of the test")

    def set_active(self, active: bool) -> None:
        self.reader.set_tracking(active)
        self.active.append(active)

    async def available(self) -> int:
        return (await self.reader.load("e")).value.total

    async def until(self, available: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while await self.available() != available:
                await asyncio.sleep(0.01)

    async def until_active(self, times: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while self.active.count(True) < times:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def tracked(url: str) -> AsyncIterator[tuple[Tracked, Redis]]:
    async with Redis.from_url(url, decode_responses=True) as client:
        one = Tracked(client)
        tracking = KeyTracking(KEY_PREFIX, one.reader.on_write, one.set_active)
        handlers = {SOLD_OUT_CHANNEL: lambda _message: None}
        task = asyncio.create_task(subscribe(url, handlers, None, tracking))
        try:
            await one.until_active(1)
            yield one, client
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_redis_reports_the_writes_of_booking_and_nothing_else_is_read(redis_url: str) -> None:
    async with tracked(redis_url) as (one, client):
        await client.hset(availability_key("e"), mapping={"order": "t", "t": "1:5"})
        await one.until(5)
        commands = (await client.info("commandstats")).get("cmdstat_hgetall", {}).get("calls")
        for _ in range(100):
            assert await one.available() == 5
        after = (await client.info("commandstats")).get("cmdstat_hgetall", {}).get("calls")
        assert after - commands <= 1, "a write may have been reported late"
        await client.hset(availability_key("e"), mapping={"order": "t", "t": "2:4"})
        await one.until(4)
        await client.flushdb()
        await client.hset(availability_key("e"), mapping={"order": "t", "t": "3:3"})
        await one.until(3)


async def test_a_lost_connection_ends_caching_until_redis_reports_again(redis_url: str) -> None:
    async with tracked(redis_url) as (one, client):
        await client.hset(availability_key("e"), mapping={"order": "t", "t": "1:5"})
        await one.until(5)
        await client.client_kill_filter(_type="pubsub")
        await client.hset(availability_key("e"), mapping={"order": "t", "t": "2:4"})
        await one.until(4)
        await one.until_active(2)
        assert False in one.active
        await client.hset(availability_key("e"), mapping={"order": "t", "t": "3:3"})
        await one.until(3)
