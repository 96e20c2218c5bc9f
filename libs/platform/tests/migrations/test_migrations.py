"""Migrations on a real PostgreSQL: in order, once, all or nothing, by one process at a time."""

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest
from goticket_platform.cli import migrate_command
from goticket_platform.messaging.migrations import INBOX, OUTBOX
from goticket_platform.migrations import (
    MigrationError,
    load_migrations,
    migrate_down,
    migrate_up,
    migration_status,
)

if TYPE_CHECKING:
    from libs.platform.tests.migrations.conftest import MigrationsPackage


async def tables(dsn: str, package: "MigrationsPackage") -> set[str]:
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = $1", package.schema
    )
    await connection.close()
    return {row["tablename"] for row in rows} - {"schema_migrations"}


async def test_up_applies_in_order_and_only_once(dsn: str, package: "MigrationsPackage") -> None:
    package.add(1, "one")
    assert await migrate_up(dsn, package.name) == ["0001_one"]
    package.add(2, "two")
    assert await migration_status(dsn, package.name) == [("0001_one", True), ("0002_two", False)]
    assert await migrate_up(dsn, package.name) == ["0002_two"]
    assert await migrate_up(dsn, package.name) == []
    assert await tables(dsn, package) == {"one", "two"}


async def test_down_reverts_the_migrations_applied_last(
    dsn: str, package: "MigrationsPackage"
) -> None:
    package.add(1, "one")
    package.add(2, "two")
    await migrate_up(dsn, package.name)
    assert await migrate_down(dsn, package.name) == ["0002_two"]
    assert await tables(dsn, package) == {"one"}
    assert await migrate_down(dsn, package.name, 5) == ["0001_one"]
    assert await tables(dsn, package) == set()


async def test_down_skips_no_migration_of_a_newer_release(
    dsn: str, package: "MigrationsPackage"
) -> None:
    for version, table in ((1, "a"), (2, "b"), (3, "c")):
        package.add(version, table)
    await migrate_up(dsn, package.name)
    for file in package.folder.glob("0003*"):
        file.unlink()
    with pytest.raises(MigrationError, match="newer release"):
        await migrate_down(dsn, package.name)


async def test_a_version_table_from_before_the_first_release_is_one_line(
    dsn: str, package: "MigrationsPackage"
) -> None:
    package.add(1, "a")
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        f"CREATE TABLE {package.schema}.schema_migrations"
        " (version int PRIMARY KEY, name text NOT NULL)"
    )
    await connection.close()
    with pytest.raises(MigrationError, match="make reset"):
        await migrate_up(dsn, package.name)


async def test_included_tables_are_created_before_the_services_own(
    dsn: str, package: "MigrationsPackage"
) -> None:
    package.include(OUTBOX, INBOX)
    package.add(1, "one")
    labels = ["outbox/0001_create_table", "inbox/0001_create_table", "0001_one"]

    assert await migration_status(dsn, package.name) == [(label, False) for label in labels]
    assert await migrate_up(dsn, package.name) == labels
    assert await tables(dsn, package) == {"outbox", "inbox", "one"}
    assert await migration_status(dsn, package.name) == [(label, True) for label in labels]

    assert await migrate_down(dsn, package.name, 2) == labels[:0:-1]
    assert await tables(dsn, package) == {"outbox"}
    assert await migrate_up(dsn, package.name) == labels[1:]


async def test_down_follows_the_order_of_application(
    dsn: str, package: "MigrationsPackage"
) -> None:
    package.add(1, "one")
    await migrate_up(dsn, package.name)
    package.include(INBOX)
    assert await migrate_up(dsn, package.name) == ["inbox/0001_create_table"]
    assert await migrate_down(dsn, package.name) == ["inbox/0001_create_table"]


async def test_a_service_without_an_inbox_gets_none(dsn: str, package: "MigrationsPackage") -> None:
    package.include(OUTBOX)
    assert await migrate_up(dsn, package.name) == ["outbox/0001_create_table"]
    assert await tables(dsn, package) == {"outbox"}


async def test_two_services_have_tables_of_their_own(
    dsn: str, packages: "list[MigrationsPackage]"
) -> None:
    first, second = packages
    first.include(OUTBOX, INBOX)
    second.include(INBOX)
    await asyncio.gather(*(migrate_up(dsn, package.name) for package in packages))
    assert await tables(dsn, first) == {"outbox", "inbox"}
    assert await tables(dsn, second) == {"inbox"}

    await migrate_down(dsn, first.name, 2)
    assert await tables(dsn, first) == set()
    assert await tables(dsn, second) == {"inbox"}


async def test_a_failing_migration_is_rolled_back(dsn: str, package: "MigrationsPackage") -> None:
    package.add(1, "one")
    package.add(2, "two", up="CREATE TABLE {schema}.two (); SELECT 1/0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate_up(dsn, package.name)
    assert await tables(dsn, package) == {"one"}
    assert await migration_status(dsn, package.name) == [("0001_one", True), ("0002_two", False)]


async def test_concurrent_replicas_apply_each_migration_once(
    dsn: str, package: "MigrationsPackage"
) -> None:
    package.include(OUTBOX, INBOX)
    package.add(1, "one")
    applied = await asyncio.gather(*(migrate_up(dsn, package.name) for _ in range(8)))
    labels = ["outbox/0001_create_table", "inbox/0001_create_table", "0001_one"]
    assert sorted(applied, reverse=True) == [labels, *[[]] * 7]


def test_a_gap_and_a_missing_down_file_are_errors(package: "MigrationsPackage") -> None:
    package.add(1, "one")
    package.add(3, "three")
    with pytest.raises(MigrationError, match="1, 2, 3"):
        load_migrations(package.name)
    (package.folder / "0003_three.down.sql").unlink()
    with pytest.raises(MigrationError, match="no down file"):
        load_migrations(package.name)


@pytest.mark.parametrize("action", ["up", "down", "status"])
def test_an_unavailable_database_is_one_line_and_exit_code_1(
    package: "MigrationsPackage", capsys: pytest.CaptureFixture[str], action: str
) -> None:
    package.add(1, "one")
    unavailable = "postgresql://me:secret@127.0.0.1:1/nothing"
    assert migrate_command(action, 1, unavailable, package.name) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("migrate: cannot connect to the database: ")
    assert "127.0.0.1" in line
    assert "secret" not in line


async def test_a_refused_connection_is_one_line(
    dsn: str, package: "MigrationsPackage", capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = dsn.rpartition("/")[0] + "/nowhere"
    assert await asyncio.to_thread(migrate_command, "up", 1, nowhere, package.name) == 1
    assert 'database "nowhere" does not exist' in capsys.readouterr().err


async def test_a_locked_table_is_one_line_and_the_migration_is_rolled_back(
    dsn: str, package: "MigrationsPackage", capsys: pytest.CaptureFixture[str]
) -> None:
    package.add(1, "one")
    await migrate_up(dsn, package.name)
    drop = "CREATE TABLE {schema}.two (); SET lock_timeout = 50; DROP TABLE {schema}.one;"
    package.add(2, "two", up=drop)
    connection = await asyncpg.connect(dsn)
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {package.schema}.one")
        assert await asyncio.to_thread(migrate_command, "up", 1, dsn, package.name) == 1
    await connection.close()
    assert capsys.readouterr().err == "migrate: canceling statement due to lock timeout\n"
    assert await tables(dsn, package) == {"one"}


async def test_an_error_in_a_migration_is_raised(dsn: str, package: "MigrationsPackage") -> None:
    package.add(1, "one", up="SELECT 1/0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await asyncio.to_thread(migrate_command, "up", 1, dsn, package.name)


async def test_the_command_prints_what_it_did(
    dsn: str, package: "MigrationsPackage", capsys: pytest.CaptureFixture[str]
) -> None:
    package.add(1, "one")
    for action in ("up", "up", "status", "down", "status"):
        assert await asyncio.to_thread(migrate_command, action, 1, dsn, package.name) == 0
    assert capsys.readouterr().out.splitlines() == [
        "applied  0001_one",
        "applied  nothing",
        "applied  0001_one",
        "reverted  0001_one",
        "pending  0001_one",
    ]
