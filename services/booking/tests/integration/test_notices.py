"""What gateways are told over Redis: sold out, back again, changed by the catalog."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from booking.adapters.availability import SOLD_OUT, RedisAvailability
from booking.adapters.notices import EVENT_CHANGED, LISTS_GENERATION, RedisNotices
from booking.adapters.postgres.bookings import PostgresBookings
from booking.application.cancel_booking import cancel_booking
from booking.application.place_orders import Placed
from booking.domain.placing import BookingRequest
from goticket_platform.ids import new_id
from goticket_platform.messaging.outbox import OutboxNotifier
from redis.asyncio import Redis

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import Hall

Wishes = Callable[..., BookingRequest]
Hear = Callable[[], Awaitable[list[dict[str, Any]]]]


@asynccontextmanager
async def listening(redis: Redis, channel: str) -> AsyncIterator[Hear]:
    """Subscribe; the yielded function returns the notices since it was last called."""
    async with redis.pubsub() as subscription:
        await subscription.subscribe(channel)
        await subscription.get_message(timeout=5)

        async def hear() -> list[dict[str, Any]]:
            await redis.publish(channel, "end")
            heard: list[dict[str, Any]] = []
            async with asyncio.timeout(10):
                while True:
                    message = await subscription.get_message(
                        ignore_subscribe_messages=True, timeout=5
                    )
                    if message is None:
                        continue
                    if message["data"] == "end":
                        return heard
                    heard.append(json.loads(str(message["data"])))

        yield hear


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        yield redis


async def test_selling_out_and_coming_back_are_told_and_nothing_else(
    hall: "Hall", wish: Wishes, redis: Redis
) -> None:
    notifier = OutboxNotifier(hall.pool, "booking")
    bookings = PostgresBookings(hall.pool, notifier, RedisAvailability(redis))
    office = hall.another_office(bookings)
    event = await hall.open_event(3, 3)
    first, second = (offer.id for offer in event.offers)
    told = {"eventId": str(event.event.id), "ticketTypeId": str(first)}
    async with listening(redis, SOLD_OUT) as hear:
        await hall.ask(event, wish(lines=[(first, 1), (second, 1)]), office=office)
        assert await hear() == []
        [last] = await hall.ask(event, wish(lines=[(first, 2)]), office=office)
        assert await hear() == [{**told, "available": 0, "version": 3}]
        assert isinstance(last, Placed)
        await cancel_booking(last.booking.id, wish().buyer, bookings=bookings, now=hall.clock)
        assert await hear() == [{**told, "available": 2, "version": 4}]
    await notifier.close()


async def test_a_capacity_that_grows_past_what_is_sold_is_told(
    hall: "Hall", wish: Wishes, redis: Redis
) -> None:
    notifier = OutboxNotifier(hall.pool, "booking")
    hall.bookings = PostgresBookings(hall.pool, notifier, RedisAvailability(redis))
    event = await hall.open_event(1)
    await hall.book(event, wish(1))
    async with listening(redis, SOLD_OUT) as hear:
        await hall.change(
            replace(
                event,
                event=replace(event.event, version=2),
                offers=(replace(event.offers[0], capacity=5),),
            )
        )
        assert [notice["available"] for notice in await hear()] == [4]
    await notifier.close()


async def test_a_changed_event_is_told_and_dropped_and_a_dead_redis_is_no_failure(
    redis: Redis,
) -> None:
    event_id = new_id()
    async with listening(redis, EVENT_CHANGED) as hear:
        await RedisNotices(redis).event_changed(event_id, 7)
        assert await hear() == [{"eventId": str(event_id), "version": 7}]
        kept = f"goticket:event:{{{event_id}}}"
        generations = {await redis.get(LISTS_GENERATION)}
        await redis.set(kept, "old")
        await RedisNotices(redis).event_changed(event_id, 8)
        generations.add(await redis.get(LISTS_GENERATION))
    assert await redis.get(kept) is None
    assert len(generations - {None}) == 2
    async with Redis.from_url("redis://127.0.0.1:1/0") as dead:
        await RedisNotices(dead).event_changed(event_id, 8)
