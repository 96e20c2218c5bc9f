"""A package of migration files that a test writes, and a database with its schema."""

import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from goticket_testing.databases import Postgres


@dataclass(frozen=True)
class MigrationsPackage:
    """A package of migration files; the first part of its name is the schema."""

    schema: str
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.schema}.migrations"

    def include(self, *packages: str) -> None:
        (self.folder / "__init__.py").write_text(f"INCLUDES = {packages!r}\n")
        sys.modules.pop(self.name, None)  # read the file again at the next import

    def add(
        self, version: int, table: str, *, up: str | None = None, down: str | None = None
    ) -> Path:
        step = f"{version:04d}_{table}"
        create = up or f"CREATE TABLE {{schema}}.{table} ();"
        file = self.folder / f"{step}.up.sql"
        file.write_text(create)
        drop = down or f"DROP TABLE {{schema}}.{table};"
        (self.folder / f"{step}.down.sql").write_text(drop)
        return file


def new_package(parent: Path) -> MigrationsPackage:
    schema = f"example_{uuid.uuid4().hex[:8]}"
    folder = parent / schema / "migrations"
    folder.mkdir(parents=True)
    (parent / schema / "__init__.py").touch()
    (folder / "__init__.py").touch()
    return MigrationsPackage(schema, folder)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[MigrationsPackage]:
    monkeypatch.syspath_prepend(str(tmp_path))
    return [new_package(tmp_path) for _ in range(2)]


@pytest.fixture
def package(packages: list[MigrationsPackage]) -> MigrationsPackage:
    return packages[0]


@pytest.fixture
async def dsn(postgres_server: Postgres, packages: list[MigrationsPackage]) -> AsyncIterator[str]:
    """The URL of a database with the packages' schemas."""
    dsn = postgres_server.superuser_dsn()
    connection = await asyncpg.connect(dsn)
    for package in packages:
        await connection.execute(f"CREATE SCHEMA {package.schema}")
    yield dsn
    for package in packages:
        await connection.execute(f"DROP SCHEMA {package.schema} CASCADE")
    await connection.close()
