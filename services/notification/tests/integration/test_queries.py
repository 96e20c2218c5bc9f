"""The delivery log's SQL."""

import asyncpg
from goticket_platform.migrations import migrate_down, migrate_up, migration_status
from goticket_testing.databases import DatabaseFactory
from notification.deliveries import QUERIES


async def test_the_newest_version_told_is_found_by_index(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await connection.execute(
            """INSERT INTO notification.deliveries
                   (message_id, booking_id, booking_version, kind, recipient, smtp_message_id,
                    status)
               SELECT gen_random_uuid(), gen_random_uuid(), 1, 'tickets', 'a@b.example', 'm', 'sent'
               FROM generate_series(1, 5000)"""
        )
        await connection.execute("ANALYZE notification.deliveries")
        plan = await connection.fetch(
            f"EXPLAIN {QUERIES['record_due']}",
            *("0198c2f0-0000-7000-8000-000000000001", "0198c2f0-0000-7000-8000-000000000002"),
            *(1, "tickets", "a@b.example", "m", "sent", "superseded"),
        )

    assert any("deliveries_booking_idx" in row[0] for row in plan)


async def test_migrations_go_down_and_up_again(database: DatabaseFactory) -> None:
    dsn = await database("notification")

    taken_back = await migrate_down(dsn, "notification.migrations", 2)
    status = await migration_status(dsn, "notification.migrations")
    assert [done for _, done in status] == [False, False]
    applied = await migrate_up(dsn, "notification.migrations")

    assert taken_back[::-1] == applied
    assert applied == ["inbox/0001_create_table", "0001_deliveries"]
