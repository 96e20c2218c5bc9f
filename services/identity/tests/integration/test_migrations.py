"""Migrations up, down and up again lead to the same schema."""

import asyncpg
from goticket_platform.migrations import migrate_down, migrate_up, migration_status
from goticket_testing.databases import DatabaseFactory

PACKAGE = "identity.migrations"
SCHEMA_QUERY = """
SELECT table_name, column_name, data_type, is_nullable, column_default
FROM information_schema.columns WHERE table_schema = 'identity'
UNION ALL
SELECT tablename, indexname, indexdef, '', '' FROM pg_indexes WHERE schemaname = 'identity'
ORDER BY 1, 2
"""


async def test_up_down_up_leads_to_the_same_schema(database: DatabaseFactory) -> None:
    dsn = await database("identity")
    first = await _read_schema(dsn)
    labels = [label for label, _ in await migration_status(dsn, PACKAGE)]

    assert await migrate_down(dsn, PACKAGE, len(labels)) == labels[::-1]
    assert {row[0] for row in await _read_schema(dsn)} == {"schema_migrations"}
    assert await migration_status(dsn, PACKAGE) == [(label, False) for label in labels]

    assert await migrate_up(dsn, PACKAGE) == labels
    assert await migrate_up(dsn, PACKAGE) == []
    assert await _read_schema(dsn) == first


async def _read_schema(dsn: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(SCHEMA_QUERY)]
    finally:
        await connection.close()
