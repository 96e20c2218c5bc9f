"""Numbered SQL migrations, applied to the schema of one service.

A service ships its migrations as a package, such as `booking.migrations`; the part before the
dot is the schema. Files are `NNNN_name.up.sql` and `NNNN_name.down.sql`, in which `{schema}`
stands for the schema. The package's `INCLUDES` names packages of shared migrations, such as the
outbox's, that are applied to the same schema before its own.

Each migration runs in a transaction of its own together with its row in
`<schema>.schema_migrations`. An advisory lock lets several replicas start at once.
"""

import importlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources

import asyncpg

CONNECT_SECONDS = 10.0
LOCK_TIMEOUT = "5s"
"""A migration that waits longer for a lock fails: other statements queue behind its request."""

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.up\.sql")
_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,40}")

_CREATE_VERSION_TABLE = """
CREATE TABLE IF NOT EXISTS {schema}.schema_migrations (
    position bigint GENERATED ALWAYS AS IDENTITY, -- order of application
    component text NOT NULL,                      -- the service's schema, "outbox" or "inbox"
    version int NOT NULL,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (component, version)
)"""


class MigrationError(Exception):
    """The migration files are inconsistent, or the database refuses the connection."""


@dataclass(frozen=True)
class Migration:
    """One numbered step and its reversal.

    `component` is the package's own name: the schema for a service's migrations, "outbox" or
    "inbox" for shared ones. `label` is the name that commands print.
    """

    component: str
    version: int
    name: str
    label: str
    up: str
    down: str

    @property
    def key(self) -> tuple[str, int]:
        """Component and version, which identify the migration within a schema."""
        return self.component, self.version


def load_migrations(package: str) -> list[Migration]:
    """Read the migrations of a service's package, in order, after those that it includes.

    Raises:
        MigrationError: a number is missing or used twice, a down file is missing, or the
            package's first part is not a plain schema name.
    """
    schema = _schema(package)
    included: tuple[str, ...] = getattr(importlib.import_module(package), "INCLUDES", ())
    migrations: list[Migration] = []
    for shared in included:
        migrations += _read_package(shared, schema, shared.rpartition(".")[2], prefixed=True)
    return migrations + _read_package(package, schema, schema, prefixed=False)


async def migrate_up(dsn: str, package: str) -> list[str]:
    """Apply the pending migrations; return their labels.

    Raises:
        MigrationError: see `load_migrations`, or the database refuses the connection.
    """
    migrations = load_migrations(package)
    schema = _schema(package)
    async with _locked(dsn, schema) as connection:
        applied = set(await _applied(connection, schema))
        pending = [migration for migration in migrations if migration.key not in applied]
        for migration in pending:
            async with connection.transaction():
                await connection.execute(migration.up)
                await connection.execute(
                    f"INSERT INTO {schema}.schema_migrations (component, version, name)"  # noqa: S608 - the schema is checked
                    " VALUES ($1, $2, $3)",
                    migration.component,
                    migration.version,
                    migration.name,
                )
        return [migration.label for migration in pending]


async def migrate_down(dsn: str, package: str, steps: int = 1) -> list[str]:
    """Revert the `steps` migrations that were applied last; return their labels.

    Raises:
        MigrationError: see `load_migrations`, the database refuses the connection, or a newer
            release applied one of them.
    """
    migrations = {migration.key: migration for migration in load_migrations(package)}
    schema = _schema(package)
    async with _locked(dsn, schema) as connection:
        applied = await _applied(connection, schema)
        last = applied[::-1][:steps]
        if unknown := [key for key in last if key not in migrations]:
            names = ", ".join(f"{component} {version}" for component, version in unknown)
            raise MigrationError(f"applied by a newer release: {names}")
        newest = [migrations[key] for key in last]
        for migration in newest:
            async with connection.transaction():
                await connection.execute(migration.down)
                await connection.execute(
                    f"DELETE FROM {schema}.schema_migrations"  # noqa: S608 - the schema is checked
                    " WHERE component = $1 AND version = $2",
                    migration.component,
                    migration.version,
                )
        return [migration.label for migration in newest]


async def migration_status(dsn: str, package: str) -> list[tuple[str, bool]]:
    """Return each migration's label and whether it is applied.

    Raises:
        MigrationError: see `load_migrations`, or the database refuses the connection.
    """
    migrations = load_migrations(package)
    schema = _schema(package)
    async with _locked(dsn, schema) as connection:
        applied = set(await _applied(connection, schema))
        return [(migration.label, migration.key in applied) for migration in migrations]


def _read_package(package: str, schema: str, component: str, *, prefixed: bool) -> list[Migration]:
    folder = resources.files(package)
    found: list[Migration] = []
    for file in folder.iterdir():
        if match := _FILE.fullmatch(file.name):
            down = folder.joinpath(file.name.replace(".up.sql", ".down.sql"))
            if not down.is_file():
                raise MigrationError(f"{file.name} has no down file")
            step = f"{match[1]}_{match[2]}"
            found.append(
                Migration(
                    component=component,
                    version=int(match[1]),
                    name=match[2],
                    label=f"{component}/{step}" if prefixed else step,
                    # Not str.format: SQL may contain other braces.
                    up=file.read_text().replace("{schema}", schema),
                    down=down.read_text().replace("{schema}", schema),
                )
            )
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError(f"{package}: versions must be 1, 2, 3, … without gaps")
    return found


def _schema(package: str) -> str:
    schema = package.partition(".")[0]
    if not _SCHEMA.fullmatch(schema):
        raise MigrationError(f"{schema!r} is not a schema name")
    return schema


@asynccontextmanager
async def _locked(dsn: str, schema: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect and hold the schema's advisory lock, so that one process migrates at a time."""
    connection = await _connect(dsn)
    try:
        await connection.execute(
            "SELECT pg_advisory_lock(hashtext('goticket.migrations'), hashtext($1))", schema
        )
        await connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        await connection.execute(_CREATE_VERSION_TABLE.format(schema=schema))
        yield connection
    finally:
        await connection.close(timeout=5.0)


async def _connect(dsn: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = str(error) or type(error).__name__
        raise MigrationError(f"cannot connect to the database: {reason}") from error


async def _applied(connection: asyncpg.Connection, schema: str) -> list[tuple[str, int]]:
    """Return the keys of the applied migrations in the order of their application."""
    try:
        rows = await connection.fetch(
            f"SELECT component, version FROM {schema}.schema_migrations ORDER BY position"  # noqa: S608 - the schema is checked
        )
    except asyncpg.UndefinedColumnError as error:
        raise MigrationError(
            f"{schema}.schema_migrations is from before the first release; "
            "delete the data (make reset) and migrate again"
        ) from error
    return [(row["component"], row["version"]) for row in rows]
