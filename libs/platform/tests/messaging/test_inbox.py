"""Pruning of the inbox."""

import asyncio
from datetime import timedelta

import asyncpg
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.inbox import prune_inbox, prune_inbox_periodically
from goticket_platform.messaging.statements import statements
from goticket_testing.databases import Postgres
from goticket_testing.messaging import eventually, running

MONTH = timedelta(days=30)


async def record(pool: asyncpg.Pool, messages: int, days_ago: int) -> None:
    await pool.execute(
        """INSERT INTO booking.inbox (consumer, message_id, received_at)
           SELECT 'test', gen_random_uuid(), now() - make_interval(days => $2)
           FROM generate_series(1, $1)""",
        messages,
        days_ago,
    )


async def inbox_size(pool: asyncpg.Pool) -> int:
    count: int = await pool.fetchval("SELECT count(*) FROM booking.inbox")
    return count


async def test_old_messages_are_pruned_in_batches_and_newer_ones_kept(
    pool: asyncpg.Pool,
) -> None:
    await record(pool, 25, days_ago=31)
    await record(pool, 5, days_ago=29)

    assert await prune_inbox(pool, "booking", MONTH, at_once=10) == 25
    assert await inbox_size(pool) == 5
    assert await prune_inbox(pool, "booking", MONTH, at_once=10) == 0


async def test_concurrent_processes_prune_each_message_once(pool: asyncpg.Pool) -> None:
    await record(pool, 300, days_ago=31)
    pruned = await asyncio.gather(
        *(prune_inbox(pool, "booking", MONTH, at_once=10) for _ in range(5))
    )
    pruned.append(await prune_inbox(pool, "booking", MONTH))

    assert sum(pruned) == 300
    assert await inbox_size(pool) == 0


async def test_pruning_uses_the_index(pool: asyncpg.Pool) -> None:
    await record(pool, 5000, days_ago=1)
    await record(pool, 10, days_ago=31)
    await pool.execute("ANALYZE booking.inbox")
    async with pool.acquire() as connection:
        before = await connection.fetchval("SELECT now() - interval '30 days'")
        lines = await connection.fetch(
            f"EXPLAIN {statements('booking')['prune_inbox']}", before, 1000
        )
    plan = "\n".join(line[0] for line in lines)
    assert "inbox_received_at_idx" in plan
    assert "Seq Scan" not in plan


async def test_pruning_continues_after_an_outage_of_the_database(
    pool: asyncpg.Pool, postgres_server: Postgres
) -> None:
    async def prune(stop: Stop) -> None:
        await prune_inbox_periodically(pool, "booking", MONTH, stop, every=0.05)

    await asyncio.to_thread(postgres_server.stop)
    async with running(prune):
        await asyncio.to_thread(postgres_server.start)
        await record_with_retries(pool)
        await eventually(lambda: is_inbox_empty(pool))


async def record_with_retries(pool: asyncpg.Pool) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                return await record(pool, 1, days_ago=31)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await asyncio.sleep(0.05)


async def is_inbox_empty(pool: asyncpg.Pool) -> bool:
    return await inbox_size(pool) == 0
