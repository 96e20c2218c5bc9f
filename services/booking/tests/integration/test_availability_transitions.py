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
from booking.application.commands.cancel_booking import cancel_booking
from booking.application.booking_context import CreatedBooking
from booking.domain.booking_creation import CreateBookingCommand
from goticket_platform.ids import new_id
from goticket_platform.messaging.outbox import OutboxNotifier
from redis.asyncio import Redis

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem

Commands = Callable[..., CreateBookingCommand]
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
    system: "BookingSystem", command: Commands, redis: Redis
) -> None:
    notifier = OutboxNotifier(system.pool, "booking")
    bookings = PostgresBookings(system.pool, notifier, RedisAvailability(redis))
    context = system.new_context(bookings)
    event = await system.open_event(3, 3)
    first, second = (offer.id for offer in event.offers)
    told = {"eventId": str(event.event.id), "ticketTypeId": str(first)}
    async with listening(redis, SOLD_OUT) as hear:
        await system.create(event, command(lines=[(first, 1), (second, 1)]), context=context)
        assert await hear() == []
        [last] = await system.create(event, command(lines=[(first, 2)]), context=context)
        assert await hear() == [{**told, "available": 0, "version": 3}]
        assert isinstance(last, CreatedBooking)
        await cancel_booking(last.booking.id, command().buyer, bookings=bookings, now=system.clock)
        assert await hear() == [{**told, "available": 2, "version": 4}]
    await notifier.close()


async def test_a_capacity_that_grows_past_what_is_sold_is_told(
    system: "BookingSystem", command: Commands, redis: Redis
) -> None:
    notifier = OutboxNotifier(system.pool, "booking")
    system.bookings = PostgresBookings(system.pool, notifier, RedisAvailability(redis))
    event = await system.open_event(1)
    await system.book(event, command(1))
    async with listening(redis, SOLD_OUT) as hear:
        await system.update_event(
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
