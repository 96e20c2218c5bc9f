"""An index on a table with data: built while others write, repaired after a failed build."""

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest
from goticket_platform.migrations import migrate_down, migrate_up, migration_status
from goticket_testing.messaging import eventually

if TYPE_CHECKING:
    from libs.platform.tests.migrations.conftest import MigrationsPackage

TABLE = "CREATE TABLE {schema}.one (id int); INSERT INTO {schema}.one VALUES (1), (1);"
BUILD = "-- transaction: none\nCREATE UNIQUE INDEX CONCURRENTLY one_idx ON {schema}.one (id);"
DROP = "-- transaction: none\nDROP INDEX CONCURRENTLY IF EXISTS {schema}.one_idx;"


@pytest.fixture
async def table(dsn: str, package: "MigrationsPackage") -> str:
    """A table with two equal ids, and a pending migration with a unique index on them."""
    package.add(1, "one", up=TABLE)
    await migrate_up(dsn, package.name)
    package.add(2, "one_idx", up=BUILD, down=DROP)
    return f"{package.schema}.one"


async def is_valid(connection: asyncpg.Connection, package: "MigrationsPackage") -> bool | None:
    valid: bool | None = await connection.fetchval(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)",
        f"{package.schema}.one_idx",
    )
    return valid


async def test_writers_are_not_blocked_and_older_transactions_are_awaited(
    dsn: str, package: "MigrationsPackage", table: str
) -> None:
    older, writer = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    await writer.execute(f"TRUNCATE {table}")
    transaction = older.transaction()
    await transaction.start()
    await older.copy_records_to_table("one", schema_name=package.schema, records=[(7,)])
    build = asyncio.create_task(migrate_up(dsn, package.name))

    async def has_begun() -> bool:
        return await is_valid(writer, package) is False

    await eventually(has_begun)
    await writer.copy_records_to_table("one", schema_name=package.schema, records=[(8,)], timeout=5)
    assert not build.done()
    assert await migration_status(dsn, package.name) == [
        ("0001_one", True),
        ("0002_one_idx", False),
    ]
    await transaction.commit()
    assert await build == ["0002_one_idx"]
    assert await is_valid(writer, package)
    await older.close()
    await writer.close()


async def test_a_failed_build_is_dropped_and_built_again(
    dsn: str, package: "MigrationsPackage", table: str
) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        await migrate_up(dsn, package.name)
    connection = await asyncpg.connect(dsn)
    assert await is_valid(connection, package) is False
    assert (await migration_status(dsn, package.name))[1] == ("0002_one_idx", False)

    await connection.execute(f"TRUNCATE {table}")
    assert await migrate_up(dsn, package.name) == ["0002_one_idx"]
    assert await is_valid(connection, package)
    assert await migrate_down(dsn, package.name) == ["0002_one_idx"]
    assert await is_valid(connection, package) is None
    await connection.close()


async def test_a_crash_before_the_record_keeps_the_index(
    dsn: str, package: "MigrationsPackage", table: str
) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"TRUNCATE {table}")
    await connection.execute(f"CREATE UNIQUE INDEX one_idx ON {table} (id)")
    before = await connection.fetchval(
        "SELECT $1::text::regclass::oid", f"{package.schema}.one_idx"
    )
    assert await migrate_up(dsn, package.name) == ["0002_one_idx"]
    after = await connection.fetchval("SELECT $1::text::regclass::oid", f"{package.schema}.one_idx")
    assert after == before
    await connection.close()


async def test_concurrent_replicas_build_the_index_once(
    dsn: str, package: "MigrationsPackage", table: str
) -> None:
    """A replica that waited inside PostgreSQL for the lock would deadlock with the build."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"TRUNCATE {table}")
    await connection.close()
    applied = await asyncio.gather(*(migrate_up(dsn, package.name) for _ in range(8)))
    assert sorted(applied, reverse=True) == [["0002_one_idx"], *[[]] * 7]
