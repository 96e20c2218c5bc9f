"""Which changes of an event are announced, and when: the statements on a real PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from goticket_kernel.time_zones import TimeZone
from notification.bookings import Event
from notification.delivery_maintenance import purge_event_changes
from notification.event_changes import MAX_AT_ONCE, QUERIES, BuyerPage, EventChanges
from notification.event_json import event_from_json, event_json

NOW = datetime.now(UTC)
EVENT_ID = UUID("0198c2f0-7b1e-7c3a-9d55-000000000001")
WINDOW, LIMIT = timedelta(minutes=1), timedelta(minutes=10)
FIRST = Event(
    name="First",
    place="Berlin",
    zone=TimeZone("Europe/Berlin"),
    starts_at=NOW + timedelta(days=30),
    ends_at=NOW + timedelta(days=30, hours=2),
    version=1,
)
NO_BUYER = BuyerPage([], UUID(int=9), is_last=True)


@pytest.fixture
def changes(pool: asyncpg.Pool) -> EventChanges:
    return EventChanges(pool, WINDOW, LIMIT)


class Clock:
    """Moves stored times back, which has the effect of waiting."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def advance(self, by: timedelta) -> None:
        """Wait."""
        await self._pool.execute(
            "UPDATE notification.events SET changed_at = changed_at - $1::interval,"
            " due_at = due_at - $1::interval",
            by,
        )


@pytest.fixture
def clock(pool: asyncpg.Pool) -> Clock:
    return Clock(pool)


async def announced(changes: EventChanges, pool: asyncpg.Pool) -> list[tuple[str, int]]:
    """Start what is due; return the name before and the version of each announcement."""
    await changes.start_due()
    rows = await pool.fetch("SELECT * FROM notification.announcements ORDER BY created_at")
    return [(event_from_json(row["event_before"]).name, row["version"]) for row in rows]


async def record(changes: EventChanges, *versions: Event) -> None:
    for version in versions:
        await changes.record(EVENT_ID, version)


def named(name: str, version: int, **others: Any) -> Event:
    return replace(FIRST, name=name, version=version, **others)


async def until_a_statement_waits(pool: asyncpg.Pool) -> None:
    async with asyncio.timeout(10):
        while not await pool.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database())"
        ):
            await asyncio.sleep(0.01)


async def test_a_series_of_changes_is_announced_once_after_the_last(
    changes: EventChanges, pool: asyncpg.Pool, clock: Clock
) -> None:
    await record(changes, FIRST, named("Second", 2))
    await clock.advance(WINDOW * 0.9)
    await record(changes, named("Third", 3))
    await clock.advance(WINDOW * 0.9)
    assert await announced(changes, pool) == []

    await clock.advance(WINDOW * 0.2)
    assert await announced(changes, pool) == [("First", 3)]
    await clock.advance(LIMIT)
    assert await announced(changes, pool) == [("First", 3)]


async def test_a_series_without_an_end_is_announced_at_the_limit(
    changes: EventChanges, pool: asyncpg.Pool, clock: Clock
) -> None:
    await record(changes, FIRST)
    for version in range(2, 14):
        await record(changes, named(f"Name {version}", version))
        assert await announced(changes, pool) == []
        await clock.advance(WINDOW * 0.9)
    assert await announced(changes, pool) == [("First", 13)]


async def test_a_series_that_ends_where_it_began_is_not_announced(
    changes: EventChanges, pool: asyncpg.Pool, clock: Clock
) -> None:
    await record(changes, FIRST, named("Second", 2), named("First", 3))
    await clock.advance(LIMIT)

    assert await announced(changes, pool) == []


async def test_a_change_that_no_email_shows_prolongs_nothing(
    changes: EventChanges, pool: asyncpg.Pool, clock: Clock
) -> None:
    await record(changes, FIRST, named("First", 2))
    await clock.advance(LIMIT)
    assert await announced(changes, pool) == []

    await record(changes, named("Second", 3))
    await clock.advance(WINDOW * 0.9)
    await record(changes, named("Second", 4))
    await clock.advance(WINDOW * 0.2)
    assert await announced(changes, pool) == [("First", 4)]


async def test_a_later_series_begins_with_what_was_announced(
    changes: EventChanges, pool: asyncpg.Pool, clock: Clock
) -> None:
    await record(changes, FIRST, named("Second", 2))
    await clock.advance(WINDOW)
    await announced(changes, pool)
    await record(changes, named("Third", 3))
    await clock.advance(WINDOW)

    assert await announced(changes, pool) == [("First", 2), ("Second", 3)]


@pytest.mark.parametrize(
    "versions",
    [
        [FIRST, named("Second", 2), named("Second", 2), FIRST],
        [named("Second", 2), FIRST],
        [FIRST, named("Second", 3), named("Between", 2)],
    ],
)
async def test_repeated_and_reordered_messages_have_the_effect_of_the_right_order(
    changes: EventChanges, pool: asyncpg.Pool, clock: Clock, versions: list[Event]
) -> None:
    await record(changes, *versions)
    await clock.advance(WINDOW)

    newest = max(version.version for version in versions)
    assert await announced(changes, pool) == [("First", newest)]
    # An old message after the announcement changes nothing.
    await record(changes, *versions)
    await clock.advance(LIMIT)
    assert await announced(changes, pool) == [("First", newest)]


async def test_nothing_is_announced_about_a_cancelled_event(
    changes: EventChanges, pool: asyncpg.Pool, clock: Clock
) -> None:
    await record(changes, FIRST, named("Second", 2))
    await clock.advance(WINDOW)
    await changes.start_due()
    await record(changes, named("Third", 3))
    await changes.record_cancellation(EVENT_ID, named("Third", 4))
    await record(changes, named("Late", 3), FIRST)
    await clock.advance(LIMIT)

    assert await announced(changes, pool) == [("First", 2)]
    assert await changes.unfinished() == []


async def test_a_cancellation_finishes_an_announcement_that_starts_at_the_same_time(
    changes: EventChanges, pool: asyncpg.Pool, clock: Clock
) -> None:
    await record(changes, FIRST, named("Second", 2))
    await clock.advance(WINDOW)
    async with pool.acquire() as other_worker:
        async with other_worker.transaction():
            await other_worker.execute(QUERIES["start_announcements"], 1)
            cancellation = asyncio.create_task(
                changes.record_cancellation(EVENT_ID, named("Second", 3))
            )
            await until_a_statement_waits(pool)
        await cancellation

    assert await changes.unfinished() == []


@pytest.mark.parametrize("status", ["deferred", "claimed"])
async def test_a_cancellation_supersedes_deliveries_between_attempts(
    changes: EventChanges, pool: asyncpg.Pool, clock: Clock, status: str
) -> None:
    await record(changes, FIRST, named("Second", 2))
    await clock.advance(WINDOW)
    await changes.start_due()
    [announcement] = await changes.unfinished()
    await changes.enqueue(announcement, BuyerPage([uuid4()], UUID(int=1), is_last=True))
    await pool.execute(
        "UPDATE notification.deliveries SET status = $1, due_at = now(),"
        " lease_token = CASE WHEN $1 = 'claimed' THEN gen_random_uuid() END",
        status,
    )

    await changes.record_cancellation(EVENT_ID, named("Second", 3))

    assert await pool.fetchval("SELECT status FROM notification.deliveries") == "superseded"


async def test_announcements_that_cannot_continue_do_not_hide_later_ones(
    changes: EventChanges, pool: asyncpg.Pool
) -> None:
    count = 2 * MAX_AT_ONCE + 1
    await pool.execute(
        "INSERT INTO notification.announcements"
        " (announcement_id, event_id, version, event_before)"
        " SELECT gen_random_uuid(), gen_random_uuid(), 2, '{}' FROM generate_series(1, $1)",
        count,
    )

    found = await changes.unfinished()

    assert len({announcement.id for announcement in found}) == len(found) == count


async def test_a_change_of_an_event_that_is_over_is_not_announced(
    changes: EventChanges, pool: asyncpg.Pool, clock: Clock
) -> None:
    over = {"starts_at": NOW - timedelta(hours=3), "ends_at": NOW - timedelta(hours=1)}
    await record(changes, named("First", 1, **over), named("Second", 2, **over))
    await clock.advance(WINDOW)

    assert await announced(changes, pool) == []


async def test_many_workers_start_one_announcement(
    changes: EventChanges, pool: asyncpg.Pool, clock: Clock
) -> None:
    await record(changes, FIRST, named("Second", 2))
    await clock.advance(WINDOW)
    barrier = asyncio.Barrier(8)

    async def start() -> None:
        await barrier.wait()
        await changes.start_due()

    await asyncio.gather(*(start() for _ in range(8)))

    assert await announced(changes, pool) == [("First", 2)]


async def test_a_page_is_enqueued_once_by_many_workers(
    changes: EventChanges, pool: asyncpg.Pool, clock: Clock
) -> None:
    await record(changes, FIRST, named("Second", 2))
    await clock.advance(WINDOW)
    await changes.start_due()
    [announcement] = await changes.unfinished()
    page = BuyerPage([uuid4() for _ in range(50)], UUID(int=50), is_last=False)
    barrier = asyncio.Barrier(8)

    async def enqueue() -> None:
        await barrier.wait()
        await changes.enqueue(announcement, page)

    await asyncio.gather(*(enqueue() for _ in range(8)))

    assert await pool.fetchval("SELECT count(*) FROM notification.deliveries") == 50
    [moved] = await changes.unfinished()
    assert moved.after_booking_id == UUID(int=50)
    await changes.enqueue(moved, NO_BUYER)
    assert await changes.unfinished() == []


async def test_old_events_and_finished_announcements_are_purged(
    changes: EventChanges, pool: asyncpg.Pool, clock: Clock
) -> None:
    await record(changes, FIRST, named("Second", 2))
    await clock.advance(WINDOW)
    await changes.start_due()
    month = timedelta(days=30)
    await pool.execute("UPDATE notification.events SET ends_at = now() - interval '31 days'")
    await record(changes, named("Third", 3))  # ends in the future again
    assert await purge_event_changes(pool, month) == 0

    await pool.execute("UPDATE notification.events SET ends_at = now() - interval '31 days'")
    assert await purge_event_changes(pool, month) == 1
    assert len(await changes.unfinished()) == 1
    await pool.execute("UPDATE notification.announcements SET finished_at = '2020-01-01'")
    assert await purge_event_changes(pool, month) == 1


async def test_an_index_serves_every_statement(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        for name, statement in QUERIES.items():
            prepared = await connection.prepare(statement)
            nulls = ", ".join(f"NULL::{each.name}" for each in prepared.get_parameters())
            types = ", ".join(each.name for each in prepared.get_parameters())
            await connection.execute(f"PREPARE checked ({types}) AS {statement}")
            rows = await connection.fetch(f"EXPLAIN EXECUTE checked ({nulls})")
            await connection.execute("DEALLOCATE checked")
            assert not [row[0] for row in rows if "Seq Scan" in row[0]], name


def test_an_event_is_read_back_as_it_was_stored() -> None:
    precise = replace(FIRST, starts_at=datetime(2027, 1, 1, 12, 0, 0, 1, tzinfo=UTC), place="Łódź")

    assert event_from_json(event_json(precise)) == replace(precise, version=0)


def test_a_zone_that_only_a_newer_release_knows_is_read_as_utc() -> None:
    stored = event_json(FIRST).replace("Europe/Berlin", "Europe/New_City")

    assert event_from_json(stored).zone.key == "UTC"
