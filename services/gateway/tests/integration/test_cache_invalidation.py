"""Notices over a real Redis."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from gateway.booking_submission.sold_out_cache import SoldOutCache
from gateway.cache.cache_invalidation import SOLD_OUT_CHANNEL, follow
from goticket.booking.v1 import booking_pb2 as pb
from redis.asyncio import Redis

DEADLINE = 20.0
WISH = pb.CreateBookingRequest(event_id="e", lines=[pb.BookingLine(ticket_type_id="t", quantity=1)])


@asynccontextmanager
async def following(url: str, memory: SoldOutCache, heard: list[str]) -> AsyncIterator[None]:
    subscribed = asyncio.Event()

    def hear(notice: Mapping[str, Any]) -> None:
        memory.on_notice(notice)
        heard.append("notice")

    task = asyncio.create_task(follow(url, {SOLD_OUT_CHANNEL: hear}, subscribed.set))
    try:
        await asyncio.wait_for(subscribed.wait(), DEADLINE)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_notice_opens_and_closes_in_every_gateway(redis_url: str) -> None:
    memories = [SoldOutCache(lambda: 0.0), SoldOutCache(lambda: 0.0)]
    heard: list[str] = []
    async with (
        Redis.from_url(redis_url) as booking,
        following(redis_url, memories[0], heard),
        following(redis_url, memories[1], heard),
    ):
        for number, available in enumerate((0, 3, 0)):
            notice = {"eventId": "e", "ticketTypeId": "t", "available": available}
            await booking.publish(SOLD_OUT_CHANNEL, "nonsense")
            await booking.publish(SOLD_OUT_CHANNEL, json.dumps(notice | {"version": number}))
            async with asyncio.timeout(DEADLINE):
                while len(heard) < 2 * number + 2:
                    await asyncio.sleep(0.01)
            assert [one.refuses(WISH) for one in memories] == [available == 0] * 2


async def test_a_lost_connection_is_made_again(redis_url: str) -> None:
    memory, heard = SoldOutCache(lambda: 0.0), list[str]()
    async with Redis.from_url(redis_url) as booking, following(redis_url, memory, heard):
        notice = {"eventId": "e", "ticketTypeId": "t", "available": 0, "version": 1}
        await booking.client_kill_filter(_type="pubsub")
        async with asyncio.timeout(DEADLINE):
            while not heard:
                await booking.publish(SOLD_OUT_CHANNEL, json.dumps(notice))
                await asyncio.sleep(0.05)
    assert memory.refuses(WISH)
