"""Migrations on a real PostgreSQL: in order, once, all or nothing, by one process at a time."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from goticket_platform.migrations import (
    MigrationError,
    load_migrations,
    migrate_command,
    migrate_down,
    migrate_up,
    migration_status,
)
from goticket_testing.databases import Postgres


@dataclass(frozen=True)
class Steps:
    """A package of migration files whose first name is also the schema's."""

    schema: str
    folder: Path

    @property
    def package(self) -> str:
        return f"{self.schema}.migrations"

    def add(self, number: int, table: str, *, up: str | None = None) -> None:
        create = up or f"CREATE TABLE {self.schema}.{table} ();"
        (self.folder / f"{number:04d}_{table}.up.sql").write_text(create)
        (self.folder / f"{number:04d}_{table}.down.sql").write_text(
            f"DROP TABLE {self.schema}.{table};"
        )


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Steps:
    schema = f"example_{uuid.uuid4().hex[:8]}"
    folder = tmp_path / schema / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / schema / "__init__.py").touch()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    return Steps(schema, folder)


@pytest.fixture
async def dsn(postgres_server: Postgres, steps: Steps) -> AsyncIterator[str]:
    dsn = postgres_server.superuser_dsn()
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"CREATE SCHEMA {steps.schema}")
    yield dsn
    await connection.execute(f"DROP SCHEMA {steps.schema} CASCADE")
    await connection.close()


async def tables(dsn: str, steps: Steps) -> set[str]:
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = $1", steps.schema
    )
    await connection.close()
    return {row["tablename"] for row in rows} - {"schema_migrations"}


async def test_up_applies_in_order_and_only_once(dsn: str, steps: Steps) -> None:
    steps.add(1, "one")
    assert await migrate_up(dsn, steps.package) == ["0001_one"]
    steps.add(2, "two")
    assert await migration_status(dsn, steps.package) == [("0001_one", True), ("0002_two", False)]
    assert await migrate_up(dsn, steps.package) == ["0002_two"]
    assert await migrate_up(dsn, steps.package) == []
    assert await tables(dsn, steps) == {"one", "two"}


async def test_down_takes_the_newest_back(dsn: str, steps: Steps) -> None:
    steps.add(1, "one")
    steps.add(2, "two")
    await migrate_up(dsn, steps.package)
    assert await migrate_down(dsn, steps.package) == ["0002_two"]
    assert await tables(dsn, steps) == {"one"}
    assert await migrate_down(dsn, steps.package, 5) == ["0001_one"]
    assert await tables(dsn, steps) == set()


async def test_a_failing_migration_leaves_nothing_of_itself(dsn: str, steps: Steps) -> None:
    steps.add(1, "one")
    steps.add(2, "two", up=f"CREATE TABLE {steps.schema}.two (); SELECT 1/0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate_up(dsn, steps.package)
    assert await tables(dsn, steps) == {"one"}
    assert await migration_status(dsn, steps.package) == [("0001_one", True), ("0002_two", False)]


async def test_replicas_that_start_together_migrate_once(dsn: str, steps: Steps) -> None:
    steps.add(1, "one")
    applied = await asyncio.gather(*(migrate_up(dsn, steps.package) for _ in range(8)))
    assert sorted(applied, reverse=True) == [["0001_one"], *[[]] * 7]


def test_a_gap_and_a_missing_way_back_are_refused(steps: Steps) -> None:
    steps.add(1, "one")
    steps.add(3, "three")
    with pytest.raises(MigrationError, match="1, 2, 3"):
        load_migrations(steps.package)
    (steps.folder / "0003_three.down.sql").unlink()
    with pytest.raises(MigrationError, match="no way back"):
        load_migrations(steps.package)


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_a_database_that_is_away_is_one_line_and_exit_code_1(
    steps: Steps, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    steps.add(1, "one")
    away = "postgresql://me:secret@127.0.0.1:1/nothing"
    assert migrate_command([command], away, steps.package) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("migrate: cannot connect to the database: ")
    assert "127.0.0.1" in line
    assert "secret" not in line


async def test_a_database_that_does_not_let_us_in_is_one_line(
    dsn: str, steps: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = dsn.rpartition("/")[0] + "/nowhere"
    assert await asyncio.to_thread(migrate_command, ["up"], nowhere, steps.package) == 1
    assert 'database "nowhere" does not exist' in capsys.readouterr().err


async def test_a_table_in_use_is_one_line_and_nothing_is_half_done(
    dsn: str, steps: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    steps.add(1, "one")
    await migrate_up(dsn, steps.package)
    one, two = f"{steps.schema}.one", f"{steps.schema}.two"
    steps.add(2, "two", up=f"CREATE TABLE {two} (); SET lock_timeout = 50; DROP TABLE {one};")
    connection = await asyncpg.connect(dsn)
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {one}")
        assert await asyncio.to_thread(migrate_command, ["up"], dsn, steps.package) == 1
    await connection.close()
    assert capsys.readouterr().err == "migrate: canceling statement due to lock timeout\n"
    assert await tables(dsn, steps) == {"one"}


async def test_a_migration_that_is_wrong_still_explains_itself(dsn: str, steps: Steps) -> None:
    steps.add(1, "one", up="SELECT 1/0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await asyncio.to_thread(migrate_command, ["up"], dsn, steps.package)


async def test_the_command_line_says_what_it_did(
    dsn: str, steps: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    steps.add(1, "one")
    run = asyncio.to_thread
    assert await run(migrate_command, ["up"], dsn, steps.package) == 0
    assert await run(migrate_command, ["status"], dsn, steps.package) == 0
    assert await run(migrate_command, ["down"], dsn, steps.package) == 0
    assert await run(migrate_command, ["sideways"], dsn, steps.package) == 2
    output = capsys.readouterr()
    assert output.out.splitlines() == ["applied  0001_one"] * 2 + ["taken back  0001_one"]
    assert output.err.startswith("usage: migrate")
