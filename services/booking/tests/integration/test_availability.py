"""Availability in a real Redis: never replaced by older data, never delaying a booking."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from booking.adapters.availability import RedisAvailability
from booking.adapters.postgres.bookings import PostgresBookings
from booking.application.booking_context import CreatedBooking
from booking.domain.booking_creation import CreateBookingCommand
from booking.domain.inventory import EventInventory
from goticket_contracts.redis_names import availability_key
from goticket_platform.ids import new_id
from goticket_platform.messaging.outbox import OutboxNotifier
from redis.asyncio import Redis

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem

Commands = Callable[..., CreateBookingCommand]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        yield redis


async def stored(redis: Redis, event_id: UUID) -> dict[str, str]:
    found = await redis.hgetall(availability_key(event_id))
    return {str(field): str(value) for field, value in found.items()}


async def inventory_of(system: "BookingSystem", event_id: UUID) -> EventInventory:
    [inventory] = await system.bookings.find_inventories([event_id])
    return inventory


async def test_older_availability_never_replaces_newer(
    system: "BookingSystem", command: Commands, redis: Redis
) -> None:
    availability = RedisAvailability(redis)
    event = await system.open_event(10, 20)
    first, second = (str(offer.id) for offer in event.offers)
    old = await inventory_of(system, event.event.id)
    await system.create(event, command(lines=[(event.offers[0].id, 3)]))
    new = await inventory_of(system, event.event.id)
    await availability.publish([new])
    await availability.publish([old])
    assert await stored(redis, event.event.id) == {
        "order": f"{first},{second}",
        "order_version": "1",
        first: "2:7",
        second: "1:20",
    }


async def test_a_removed_ticket_type_does_not_reappear(
    system: "BookingSystem", redis: Redis
) -> None:
    availability = RedisAvailability(redis)
    event = await system.open_event(10, 20)
    kept, added = event.offers[1], replace(event.offers[0], id=new_id())
    old = await inventory_of(system, event.event.id)
    await system.update_event(
        replace(event, event=replace(event.event, version=2), offers=(added, kept))
    )
    new = await inventory_of(system, event.event.id)
    for inventory in (old, new, old):
        await availability.publish([inventory])
    entry = await stored(redis, event.event.id)
    assert (entry["order"], entry["order_version"]) == (f"{added.id},{kept.id}", "2")
    assert (entry[str(added.id)], entry[str(kept.id)]) == ("1:10", "2:20")


async def test_the_script_is_loaded_again_after_redis_has_lost_it(
    system: "BookingSystem", redis: Redis
) -> None:
    availability = RedisAvailability(redis)
    event = await system.open_event(10)
    inventory = await inventory_of(system, event.event.id)
    await availability.publish([inventory])
    await redis.script_flush()
    await redis.flushdb()
    await availability.publish([inventory])
    assert await stored(redis, event.event.id)


@pytest.mark.parametrize("behaviour", ["rejects", "hangs"])
async def test_a_booking_succeeds_during_every_failure_of_redis(
    behaviour: str, system: "BookingSystem", command: Commands
) -> None:
    closed = asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await closed.wait()
        writer.close()

    event = await system.open_event(10)
    listener = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = 1 if behaviour == "rejects" else listener.sockets[0].getsockname()[1]
    notifier = OutboxNotifier(system.pool, "booking")
    async with Redis.from_url(f"redis://127.0.0.1:{port}/0") as redis:
        bookings = PostgresBookings(system.pool, notifier, RedisAvailability(redis))
        context = system.new_context(bookings)
        results = await system.create(event, command(1), context=context)
        results += await system.create(event, command(1), context=context)
    closed.set()
    listener.close()
    await listener.wait_closed()
    await notifier.close()
    assert all(isinstance(result, CreatedBooking) for result in results)
    assert await system.counts(event) == [(0, 2)]
