"""Applies and reverts migrations, and compares applied ones with their files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from goticket_platform.migrations.files import (
    Migration,
    MigrationError,
    load_migrations,
    schema_of,
)
from goticket_platform.migrations.lock import WAIT_SECONDS, connected, locked

LOCK_TIMEOUT = "5s"
"""A migration that waits longer for a lock fails: other statements queue behind its request."""
CONCURRENT_LOCK_TIMEOUT = "10min"
"""A concurrent build waits for older transactions to end, and no writer queues behind it."""

_CREATE_VERSION_TABLE = """
CREATE TABLE IF NOT EXISTS {schema}.schema_migrations (
    position bigint GENERATED ALWAYS AS IDENTITY, -- order of application
    component text NOT NULL,                      -- the service's schema, "outbox" or "inbox"
    version int NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,                       -- SHA-256 of the up file
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (component, version)
)"""
_INDEX_IS_VALID = """
SELECT index.indisvalid
FROM pg_index AS index JOIN pg_class AS relation ON relation.oid = index.indexrelid
WHERE relation.relnamespace = $1::regnamespace AND relation.relname = $2
"""


@dataclass(frozen=True)
class _Applied:
    """What the database knows about an applied migration."""

    name: str
    checksum: str


async def migrate_up(dsn: str, package: str, *, wait_seconds: float = WAIT_SECONDS) -> list[str]:
    """Apply the pending migrations; return their labels.

    Raises:
        MigrationError: see `load_migrations`; the database refuses the connection; another
            process migrates for longer than `wait_seconds`; an applied file was changed.
    """
    migrations = load_migrations(package)
    schema = schema_of(package)
    async with locked(dsn, schema, wait_seconds) as connection:
        await connection.execute(_CREATE_VERSION_TABLE.format(schema=schema))
        applied = await _applied(connection, schema)
        _check_unchanged(migrations, applied, schema)
        pending = [migration for migration in migrations if migration.key not in applied]
        for migration in pending:
            if migration.index is None:
                await _apply(connection, schema, migration)
            else:
                await _build_index(connection, schema, migration, migration.index)
        return [migration.label for migration in pending]


async def migrate_down(
    dsn: str, package: str, steps: int = 1, *, wait_seconds: float = WAIT_SECONDS
) -> list[str]:
    """Revert the `steps` migrations that were applied last; return their labels.

    Raises:
        MigrationError: see `migrate_up`, or a newer release applied one of them.
    """
    migrations = load_migrations(package)
    by_key = {migration.key: migration for migration in migrations}
    schema = schema_of(package)
    async with locked(dsn, schema, wait_seconds) as connection:
        await connection.execute(_CREATE_VERSION_TABLE.format(schema=schema))
        applied = await _applied(connection, schema)
        _check_unchanged(migrations, applied, schema)
        last = list(applied)[::-1][:steps]
        if unknown := [key for key in last if key not in by_key]:
            names = ", ".join(f"{component} {version}" for component, version in unknown)
            raise MigrationError(f"applied by a newer release: {names}")
        newest = [by_key[key] for key in last]
        for migration in newest:
            await _revert(connection, schema, migration)
        return [migration.label for migration in newest]


async def migration_status(dsn: str, package: str) -> list[tuple[str, bool]]:
    """Return each migration's label and whether it is applied. Waits for no lock.

    Raises:
        MigrationError: see `load_migrations`; the database refuses the connection; an applied
            file was changed.
    """
    migrations = load_migrations(package)
    schema = schema_of(package)
    async with connected(dsn, schema) as connection:
        table = f"{schema}.schema_migrations"
        exists = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table)
        applied = await _applied(connection, schema) if exists else {}
        _check_unchanged(migrations, applied, schema)
        return [(migration.label, migration.key in applied) for migration in migrations]


async def _apply(connection: asyncpg.Connection, schema: str, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        await connection.execute(migration.up)
        await _record(connection, schema, migration)


async def _build_index(
    connection: asyncpg.Connection, schema: str, migration: Migration, index: str
) -> None:
    """Build an index CONCURRENTLY, and record it.

    A build that fails or is killed leaves an invalid index, which slows writes down and serves no
    query: it is dropped and built again. A crash before the record leaves a valid index.
    """
    await connection.execute(f"SET lock_timeout = '{CONCURRENT_LOCK_TIMEOUT}'")
    is_valid = await connection.fetchval(_INDEX_IS_VALID, schema, index)
    if is_valid is False:
        await connection.execute(f"DROP INDEX CONCURRENTLY {schema}.{index}")
    if not is_valid:
        await connection.execute(migration.up)
    await _record(connection, schema, migration)


async def _revert(connection: asyncpg.Connection, schema: str, migration: Migration) -> None:
    if not migration.down_in_transaction:
        # It is repeatable: a crash before the record is removed leads to another run.
        await connection.execute(f"SET lock_timeout = '{CONCURRENT_LOCK_TIMEOUT}'")
        await connection.execute(migration.down)
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        if migration.down_in_transaction:
            await connection.execute(migration.down)
        await connection.execute(
            f"DELETE FROM {schema}.schema_migrations"  # noqa: S608 - the schema is checked
            " WHERE component = $1 AND version = $2",
            migration.component,
            migration.version,
        )


async def _record(connection: asyncpg.Connection, schema: str, migration: Migration) -> None:
    await connection.execute(
        f"INSERT INTO {schema}.schema_migrations (component, version, name, checksum)"  # noqa: S608 - the schema is checked
        " VALUES ($1, $2, $3, $4)",
        migration.component,
        migration.version,
        migration.name,
        migration.checksum,
    )


async def _applied(connection: asyncpg.Connection, schema: str) -> dict[tuple[str, int], _Applied]:
    """Return the applied migrations by their keys, in the order of their application."""
    try:
        rows = await connection.fetch(
            "SELECT component, version, name, checksum"  # noqa: S608 - the schema is checked
            f" FROM {schema}.schema_migrations ORDER BY position"
        )
    except asyncpg.UndefinedColumnError as error:
        raise MigrationError(
            f"{schema}.schema_migrations is from before the first release; "
            "delete the data (make reset) and migrate again"
        ) from error
    return {
        (row["component"], row["version"]): _Applied(row["name"], row["checksum"]) for row in rows
    }


def _check_unchanged(
    migrations: Sequence[Migration],
    applied: Mapping[tuple[str, int], _Applied],
    schema: str,
) -> None:
    """Refuse to go on from a schema that the files do not describe."""
    changed = [
        f"{migration.label}.up.sql"
        for migration in migrations
        if (record := applied.get(migration.key))
        and (record.name, record.checksum) != (migration.name, migration.checksum)
    ]
    if changed:
        raise MigrationError(
            f"{', '.join(changed)} was changed after it had been applied to schema {schema}; "
            "restore the file and add a new migration (a development system: make reset)"
        )
