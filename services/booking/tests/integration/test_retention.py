"""Retention: idempotency keys for a day, inbox messages for a month."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from booking.adapters.postgres.queries import QUERIES
from booking.adapters.postgres.transaction import CONSUMER
from booking.application.booking_context import CreatedBooking
from booking.application.commands.purge_idempotency_keys import (
    BATCH_SIZE,
    RETENTION,
    purge_idempotency_keys,
)
from booking.bootstrap import run_worker
from booking.config import WorkerSettings
from booking.domain.booking_creation import CreateBookingCommand
from booking.entrypoints.sweeper import Sweeper
from goticket_platform.lifecycle import Stop
from goticket_testing.messaging import eventually, running

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem, OpenReplica

Commands = Callable[..., CreateBookingCommand]
MOMENT = timedelta(microseconds=1)


async def use_keys(system: "BookingSystem", keys: int) -> None:
    """Insert that many keys that were first used now."""
    await system.pool.execute(
        """INSERT INTO booking.idempotency_keys
           SELECT gen_random_uuid(), n::text, gen_random_uuid(), '', gen_random_uuid(), $2
           FROM generate_series(1, $1) AS n""",
        keys,
        system.clock(),
    )


async def test_a_key_is_kept_for_a_day_and_its_booking_permanently(
    system: "BookingSystem", command: Commands
) -> None:
    event = await system.open_event(10)
    first = await system.book(event, command(1, key="k"))
    system.clock.advance(RETENTION)
    assert await purge_idempotency_keys(maintenance=system.bookings, now=system.clock) == 0
    [again] = await system.create(event, command(1, key="k"))
    assert again == CreatedBooking(first, event.event, replayed=True)

    system.clock.advance(MOMENT)
    assert await purge_idempotency_keys(maintenance=system.bookings, now=system.clock) == 1
    assert await system.bookings.find_booking(first.id) is not None
    [new] = await system.create(event, command(2, key="k"))
    assert isinstance(new, CreatedBooking)
    assert not new.replayed
    assert await system.counts(event) == [(0, 3)]


async def test_the_oldest_keys_are_purged_first_up_to_the_limit(system: "BookingSystem") -> None:
    await use_keys(system, 5)
    system.clock.advance(MOMENT)
    await use_keys(system, 5)
    system.clock.advance(RETENTION)
    assert await purge_idempotency_keys(maintenance=system.bookings, now=system.clock, limit=4) == 4
    assert await purge_idempotency_keys(maintenance=system.bookings, now=system.clock, limit=4) == 1
    assert (await system.row_counts())["idempotency_keys"] == 5


async def test_concurrent_sweepers_purge_each_key_once(
    system: "BookingSystem", open_replica: "OpenReplica"
) -> None:
    await use_keys(system, 400)
    system.clock.advance(RETENTION + MOMENT)
    bookings, _ = await open_replica(8)
    counts = await asyncio.gather(
        *(
            purge_idempotency_keys(maintenance=bookings, now=system.clock, limit=50)
            for _ in range(8)
        )
    )
    remaining = (await system.row_counts())["idempotency_keys"]
    assert sum(counts) + remaining == 400
    assert max(counts) <= 50
    assert await purge_idempotency_keys(maintenance=bookings, now=system.clock) == remaining


async def test_a_round_of_the_sweeper_purges_all_due_keys(system: "BookingSystem") -> None:
    await use_keys(system, 2 * BATCH_SIZE + 5)
    system.clock.advance(RETENTION + MOMENT)
    await use_keys(system, 3)
    await Sweeper(system.bookings, system.bookings, system.catalog, system.clock).sweep(Stop())
    assert (await system.row_counts())["idempotency_keys"] == 3


async def test_an_index_serves_the_purge(system: "BookingSystem") -> None:
    await use_keys(system, 10)
    system.clock.advance(RETENTION)
    await use_keys(system, 5000)
    await system.pool.execute("ANALYZE booking.idempotency_keys")
    before = system.clock() - RETENTION + MOMENT
    lines = await system.pool.fetch(f"EXPLAIN {QUERIES['purge_idempotency_keys']}", before, 1000)
    plan = "\n".join(line[0] for line in lines)
    assert "idempotency_keys_created_at_idx" in plan
    assert "Seq Scan" not in plan


async def test_the_worker_prunes_old_inbox_messages_only(
    system: "BookingSystem", amqp_url: str, redis_url: str
) -> None:
    await system.pool.execute(
        """INSERT INTO booking.inbox (consumer, message_id, received_at)
           SELECT $1, gen_random_uuid(), $2::timestamptz - make_interval(days => days)
           FROM unnest($3::int[]) AS days""",
        CONSUMER,
        datetime.now(UTC),
        [6, 9, 400],
    )
    settings = WorkerSettings(
        database_url=system.dsn, amqp_url=amqp_url, redis_url=redis_url, inbox_days=8
    )

    async def one_remains() -> bool:
        return bool(await system.pool.fetchval("SELECT count(*) = 1 FROM booking.inbox"))

    async with running(lambda stop: run_worker(settings, stop)):
        await eventually(one_remains)
