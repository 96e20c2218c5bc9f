"""Messages to the gateways when a ticket type sells out or becomes available again."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from booking.adapters.availability import RedisAvailability
from booking.adapters.postgres.bookings import PostgresBookings
from booking.application.booking_context import CreatedBooking
from booking.application.commands.cancel_booking import cancel_booking
from booking.domain.booking_creation import CreateBookingCommand
from goticket_contracts.redis_names import SOLD_OUT_CHANNEL
from goticket_platform.messaging.outbox import OutboxNotifier
from redis.asyncio import Redis

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem

Commands = Callable[..., CreateBookingCommand]
Receive = Callable[[], Awaitable[list[dict[str, Any]]]]


@asynccontextmanager
async def subscribed(redis: Redis, channel: str) -> AsyncIterator[Receive]:
    """Subscribe; the yielded function returns the messages since its last call."""
    async with redis.pubsub() as subscription:
        await subscription.subscribe(channel)
        await subscription.get_message(timeout=5)

        async def receive() -> list[dict[str, Any]]:
            await redis.publish(channel, "end")
            received: list[dict[str, Any]] = []
            async with asyncio.timeout(10):
                while True:
                    message = await subscription.get_message(
                        ignore_subscribe_messages=True, timeout=5
                    )
                    if message is None:
                        continue
                    if message["data"] == "end":
                        return received
                    received.append(json.loads(str(message["data"])))

        yield receive


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        yield redis


async def test_selling_out_and_a_release_are_published_and_nothing_else(
    system: "BookingSystem", command: Commands, redis: Redis
) -> None:
    notifier = OutboxNotifier(system.pool, "booking")
    bookings = PostgresBookings(system.pool, notifier, RedisAvailability(redis))
    context = system.new_context(bookings)
    event = await system.open_event(3, 3)
    first, second = (offer.id for offer in event.offers)
    expected = {"eventId": str(event.event.id), "ticketTypeId": str(first)}
    async with subscribed(redis, SOLD_OUT_CHANNEL) as receive:
        await system.create(event, command(lines=[(first, 1), (second, 1)]), context=context)
        assert await receive() == []
        [last] = await system.create(event, command(lines=[(first, 2)]), context=context)
        assert await receive() == [{**expected, "available": 0, "version": 3}]
        assert isinstance(last, CreatedBooking)
        await cancel_booking(last.booking.id, command().buyer, bookings=bookings, now=system.clock)
        assert await receive() == [{**expected, "available": 2, "version": 4}]
    await notifier.close()


async def test_a_capacity_that_grows_after_selling_out_is_published(
    system: "BookingSystem", command: Commands, redis: Redis
) -> None:
    notifier = OutboxNotifier(system.pool, "booking")
    system.bookings = PostgresBookings(system.pool, notifier, RedisAvailability(redis))
    event = await system.open_event(1)
    await system.book(event, command(1))
    async with subscribed(redis, SOLD_OUT_CHANNEL) as receive:
        await system.update_event(
            replace(
                event,
                event=replace(event.event, version=2),
                offers=(replace(event.offers[0], capacity=5),),
            )
        )
        assert [message["available"] for message in await receive()] == [4]
    await notifier.close()
