"""The rules that migration files follow, and the check that applied ones stay as they are."""

from typing import TYPE_CHECKING

import asyncpg
import pytest
from goticket_platform.messaging.migrations import OUTBOX
from goticket_platform.migrations import (
    MigrationError,
    load_migrations,
    migrate_down,
    migrate_up,
    migration_status,
)
from goticket_testing.databases import ROLES

if TYPE_CHECKING:
    from libs.platform.tests.migrations.conftest import MigrationsPackage

NO_TRANSACTION = "-- transaction: none\n"


async def test_a_changed_applied_file_is_an_error_that_names_it(
    dsn: str, package: "MigrationsPackage"
) -> None:
    first = package.add(1, "one")
    package.add(2, "two")
    await migrate_up(dsn, package.name)
    first.write_text(first.read_text() + "\nCREATE TABLE {schema}.late ();\n")
    package.add(3, "three")
    for command in (migrate_up, migrate_down, migration_status):
        with pytest.raises(MigrationError, match=r"0001_one\.up\.sql was changed after"):
            await command(dsn, package.name)
    first.write_text("CREATE TABLE {schema}.one ();")
    assert await migrate_up(dsn, package.name) == ["0003_three"]


async def test_a_renamed_applied_file_is_an_error(dsn: str, package: "MigrationsPackage") -> None:
    package.add(1, "one")
    await migrate_up(dsn, package.name)
    for file in package.folder.glob("0001_one.*"):
        file.rename(file.with_name(file.name.replace("one", "other")))
    with pytest.raises(MigrationError, match=r"0001_other\.up\.sql was changed"):
        await migrate_up(dsn, package.name)


async def test_other_line_endings_are_no_change(dsn: str, package: "MigrationsPackage") -> None:
    file = package.add(1, "one", up="CREATE TABLE {schema}.one\n(id int);\n")
    await migrate_up(dsn, package.name)
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert await migrate_up(dsn, package.name) == []


async def test_the_checksums_of_included_migrations_are_compared(
    dsn: str, package: "MigrationsPackage"
) -> None:
    package.include(OUTBOX)
    package.add(1, "one")
    await migrate_up(dsn, package.name)
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        f"UPDATE {package.schema}.schema_migrations SET checksum = ''"  # noqa: S608 - a new name
        " WHERE component = 'outbox'"
    )
    await connection.close()
    with pytest.raises(MigrationError, match=r"outbox/0001_create_table\.up\.sql was changed"):
        await migrate_up(dsn, package.name)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX one_idx ON {schema}.one (id);",
        "create unique index if not exists one_idx on only {schema}.one using btree (id);",
        "CREATE INDEX ON one (id);",
        "CREATE TABLE {schema}.two (id int);\nCREATE INDEX i ON {schema}.one\n(id);",
        "ALTER TABLE {schema}.one ADD CONSTRAINT one_key UNIQUE (id);",
        "ALTER TABLE {schema}.one ADD COLUMN b int, ADD PRIMARY KEY (id);",
    ],
)
def test_an_index_that_blocks_the_writers_of_an_existing_table_is_refused(
    package: "MigrationsPackage", statement: str
) -> None:
    package.add(1, "one", up="CREATE TABLE {schema}.one (id int);")
    package.add(2, "index", up=statement)
    with pytest.raises(MigrationError, match=r"0002_index\.up\.sql: an index on one, which exists"):
        load_migrations(package.name)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE {schema}.two (id int);\nCREATE INDEX two_idx ON {schema}.two (id);",
        "-- CREATE INDEX i ON {schema}.one (id);\nSELECT 1;",
        "ALTER TABLE {schema}.one ADD CONSTRAINT k UNIQUE USING INDEX one_idx;",
        NO_TRANSACTION + "-- Finds rows.\nCREATE INDEX CONCURRENTLY i ON {schema}.one (id);\n",
        NO_TRANSACTION + "CREATE UNIQUE INDEX CONCURRENTLY i ON {schema}.one (id)\nWHERE id > 0",
    ],
)
def test_an_index_without_blocked_writers_is_accepted(
    package: "MigrationsPackage", text: str
) -> None:
    package.add(1, "one")
    package.add(2, "index", up=text)
    assert len(load_migrations(package.name)) == 2


@pytest.mark.parametrize(
    "text",
    [
        NO_TRANSACTION + "CREATE INDEX CONCURRENTLY a ON {schema}.one (id); SELECT 1;",
        NO_TRANSACTION + "CREATE INDEX CONCURRENTLY IF NOT EXISTS a ON {schema}.one (id);",
        NO_TRANSACTION + "CREATE TABLE {schema}.two ();",
        "CREATE INDEX CONCURRENTLY a ON {schema}.one (id);",
    ],
)
def test_a_file_outside_of_a_transaction_is_one_concurrent_build(
    package: "MigrationsPackage", text: str
) -> None:
    package.add(1, "one")
    package.add(2, "index", up=text)
    with pytest.raises(MigrationError, match="transaction: none"):
        load_migrations(package.name)


def test_a_down_file_outside_of_a_transaction_is_repeatable(package: "MigrationsPackage") -> None:
    package.add(1, "one", down=NO_TRANSACTION + "DROP INDEX CONCURRENTLY {schema}.i;")
    with pytest.raises(MigrationError, match="IF EXISTS"):
        load_migrations(package.name)


@pytest.mark.parametrize("service", sorted(ROLES))
def test_the_migrations_of_every_service_follow_the_rules(service: str) -> None:
    assert load_migrations(f"{service}.migrations")
