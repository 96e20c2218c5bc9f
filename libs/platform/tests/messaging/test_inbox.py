"""What the inbox forgets, and what it does not."""

import asyncio
from datetime import timedelta

import asyncpg
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.inbox import prune_inbox, prune_inbox_periodically
from goticket_platform.messaging.statements import statements
from goticket_testing.databases import Postgres
from goticket_testing.messaging import eventually, running

MONTH = timedelta(days=30)


async def remember(pool: asyncpg.Pool, events: int, days_ago: int) -> None:
    await pool.execute(
        """INSERT INTO booking.inbox (consumer, message_id, received_at)
           SELECT 'test', gen_random_uuid(), now() - make_interval(days => $2)
           FROM generate_series(1, $1)""",
        events,
        days_ago,
    )


async def remembered(pool: asyncpg.Pool) -> int:
    count: int = await pool.fetchval("SELECT count(*) FROM booking.inbox")
    return count


async def test_old_events_are_forgotten_in_small_steps_and_young_ones_kept(
    pool: asyncpg.Pool,
) -> None:
    await remember(pool, 25, days_ago=31)
    await remember(pool, 5, days_ago=29)

    assert await prune_inbox(pool, "booking", MONTH, at_once=10) == 25
    assert await remembered(pool) == 5
    assert await prune_inbox(pool, "booking", MONTH, at_once=10) == 0


async def test_processes_that_prune_at_once_forget_each_event_once(pool: asyncpg.Pool) -> None:
    await remember(pool, 300, days_ago=31)
    pruned = await asyncio.gather(
        *(prune_inbox(pool, "booking", MONTH, at_once=10) for _ in range(5))
    )
    pruned.append(await prune_inbox(pool, "booking", MONTH))

    assert sum(pruned) == 300
    assert await remembered(pool) == 0


async def test_pruning_reads_what_it_forgets_and_not_the_whole_inbox(pool: asyncpg.Pool) -> None:
    await remember(pool, 5000, days_ago=1)
    await remember(pool, 10, days_ago=31)
    await pool.execute("ANALYZE booking.inbox")
    async with pool.acquire() as connection:
        before = await connection.fetchval("SELECT now() - interval '30 days'")
        lines = await connection.fetch(
            f"EXPLAIN {statements('booking')['prune_inbox']}", before, 1000
        )
    plan = "\n".join(line[0] for line in lines)
    assert "inbox_received_at_idx" in plan
    assert "Seq Scan" not in plan


async def test_pruning_goes_on_after_the_database_was_away(
    pool: asyncpg.Pool, postgres_server: Postgres
) -> None:
    async def prune(stop: Stop) -> None:
        await prune_inbox_periodically(pool, "booking", MONTH, stop, every=0.05)

    await asyncio.to_thread(postgres_server.stop)
    async with running(prune):
        await asyncio.to_thread(postgres_server.start)
        await remember_patiently(pool)
        await eventually(lambda: nothing_remembered(pool))


async def remember_patiently(pool: asyncpg.Pool) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                return await remember(pool, 1, days_ago=31)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await asyncio.sleep(0.05)


async def nothing_remembered(pool: asyncpg.Pool) -> bool:
    return await remembered(pool) == 0
