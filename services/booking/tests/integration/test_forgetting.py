"""What booking forgets: idempotency keys after a day, messages of the catalog after a month."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from booking.adapters.postgres.transaction import CONSUMER, QUERIES
from booking.application.forget_keys import BATCH, KEPT_FOR, forget_keys
from booking.application.place_orders import Placed
from booking.bootstrap import run_worker
from booking.config import WorkerSettings
from booking.domain.placing import BookingRequest
from booking.entrypoints.sweeper import Sweeper
from goticket_platform.lifecycle import Stop
from goticket_testing.messaging import eventually, running

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import Hall, OpenReplica

Wishes = Callable[..., BookingRequest]
MOMENT = timedelta(microseconds=1)


async def use_keys(hall: "Hall", keys: int) -> None:
    """Note so many keys of bookings made now."""
    await hall.pool.execute(
        """INSERT INTO booking.idempotency_keys
           SELECT gen_random_uuid(), n::text, gen_random_uuid(), '', gen_random_uuid(), $2
           FROM generate_series(1, $1) AS n""",
        keys,
        hall.clock(),
    )


async def test_a_key_is_kept_for_a_day_and_its_booking_for_good(hall: "Hall", wish: Wishes) -> None:
    event = await hall.open_event(10)
    first = await hall.book(event, wish(1, key="k"))
    hall.clock.advance(KEPT_FOR)
    assert await forget_keys(duties=hall.bookings, now=hall.clock) == 0
    [again] = await hall.ask(event, wish(1, key="k"))
    assert again == Placed(first, event.event, replayed=True)

    hall.clock.advance(MOMENT)
    assert await forget_keys(duties=hall.bookings, now=hall.clock) == 1
    assert await hall.bookings.find_booking(first.id) is not None
    [new] = await hall.ask(event, wish(2, key="k"))
    assert isinstance(new, Placed)
    assert not new.replayed
    assert await hall.counts(event) == [(0, 3)]


async def test_the_oldest_keys_go_first_and_no_more_than_asked_for(hall: "Hall") -> None:
    await use_keys(hall, 5)
    hall.clock.advance(MOMENT)
    await use_keys(hall, 5)
    hall.clock.advance(KEPT_FOR)
    assert await forget_keys(duties=hall.bookings, now=hall.clock, limit=4) == 4
    assert await forget_keys(duties=hall.bookings, now=hall.clock, limit=4) == 1
    assert (await hall.rows())["idempotency_keys"] == 5


async def test_sweepers_that_forget_at_once_forget_each_key_once(
    hall: "Hall", open_replica: "OpenReplica"
) -> None:
    await use_keys(hall, 400)
    hall.clock.advance(KEPT_FOR + MOMENT)
    bookings, _ = await open_replica(8)
    counts = await asyncio.gather(
        *(forget_keys(duties=bookings, now=hall.clock, limit=50) for _ in range(8))
    )
    left = (await hall.rows())["idempotency_keys"]
    assert sum(counts) + left == 400
    assert max(counts) <= 50
    assert await forget_keys(duties=bookings, now=hall.clock) == left


async def test_a_round_of_the_sweeper_forgets_all_that_is_due(hall: "Hall") -> None:
    await use_keys(hall, 2 * BATCH + 5)
    hall.clock.advance(KEPT_FOR + MOMENT)
    await use_keys(hall, 3)
    await Sweeper(hall.bookings, hall.bookings, hall.catalog, hall.clock).sweep(Stop())
    assert (await hall.rows())["idempotency_keys"] == 3


async def test_forgetting_reads_what_it_forgets_and_not_all_keys(hall: "Hall") -> None:
    await use_keys(hall, 10)
    hall.clock.advance(KEPT_FOR)
    await use_keys(hall, 5000)
    await hall.pool.execute("ANALYZE booking.idempotency_keys")
    before = hall.clock() - KEPT_FOR + MOMENT
    lines = await hall.pool.fetch(f"EXPLAIN {QUERIES['forget_keys']}", before, 1000)
    plan = "\n".join(line[0] for line in lines)
    assert "idempotency_keys_created_at_idx" in plan
    assert "Seq Scan" not in plan


async def test_the_worker_forgets_old_messages_and_remembers_young_ones(
    hall: "Hall", amqp_url: str, redis_url: str
) -> None:
    await hall.pool.execute(
        """INSERT INTO booking.inbox (consumer, message_id, received_at)
           SELECT $1, gen_random_uuid(), $2::timestamptz - make_interval(days => days)
           FROM unnest($3::int[]) AS days""",
        CONSUMER,
        datetime.now(UTC),
        [6, 8, 400],
    )
    settings = WorkerSettings(
        database_url=hall.dsn, amqp_url=amqp_url, redis_url=redis_url, inbox_days=7
    )

    async def one_is_left() -> bool:
        return bool(await hall.pool.fetchval("SELECT count(*) = 1 FROM booking.inbox"))

    async with running(lambda stop: run_worker(settings, stop)):
        await eventually(one_is_left)
