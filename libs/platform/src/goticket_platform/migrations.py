"""Numbered SQL migrations that a service ships inside its package.

Files are `NNNN_name.up.sql` with a `NNNN_name.down.sql`. Each runs in a
transaction of its own together with its row in `<schema>.schema_migrations`,
under an advisory lock, so that several replicas may start at once.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources

import asyncpg

from goticket_platform.postgres import is_transient

CONNECT_SECONDS = 10.0
LOCK_TIMEOUT = "5s"
"""A migration that cannot get a lock gives up instead of queueing everybody behind it."""

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.up\.sql")


class MigrationError(Exception):
    """The migrations do not fit together, or the database does not let us in."""


@dataclass(frozen=True)
class Migration:
    """One numbered step and its way back."""

    version: int
    name: str
    up: str
    down: str

    @property
    def label(self) -> str:
        """Number and name, as in the file's name."""
        return f"{self.version:04d}_{self.name}"


def load_migrations(package: str) -> list[Migration]:
    """Read the migrations of a package such as "booking.migrations", in order.

    Raises:
        MigrationError: a number is missing or doubled, or a way back is missing.
    """
    folder = resources.files(package)
    found: list[Migration] = []
    for file in folder.iterdir():
        if match := _FILE.fullmatch(file.name):
            down = folder.joinpath(file.name.replace(".up.sql", ".down.sql"))
            if not down.is_file():
                raise MigrationError(f"{file.name} has no way back")
            version, name = int(match[1]), match[2]
            found.append(Migration(version, name, file.read_text(), down.read_text()))
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError(f"{package}: numbers must be 1, 2, 3, … each once")
    return found


async def migrate_up(dsn: str, package: str) -> list[str]:
    """Apply what is missing; return the labels applied."""
    migrations = load_migrations(package)
    async with _locked(dsn, package) as connection:
        done = await _applied(connection, package)
        missing = [migration for migration in migrations if migration.version not in done]
        for migration in missing:
            async with connection.transaction():
                await connection.execute(migration.up)
                await connection.execute(
                    f"INSERT INTO {_table(package)} (version, name) VALUES ($1, $2)",  # noqa: S608 - the schema is a package name
                    migration.version,
                    migration.name,
                )
        return [migration.label for migration in missing]


async def migrate_down(dsn: str, package: str, steps: int = 1) -> list[str]:
    """Take the newest `steps` migrations back; return their labels."""
    migrations = load_migrations(package)
    async with _locked(dsn, package) as connection:
        done = await _applied(connection, package)
        newest = [migration for migration in reversed(migrations) if migration.version in done]
        for migration in newest[:steps]:
            async with connection.transaction():
                await connection.execute(migration.down)
                await connection.execute(
                    f"DELETE FROM {_table(package)} WHERE version = $1",  # noqa: S608 - see above
                    migration.version,
                )
        return [migration.label for migration in newest[:steps]]


async def migration_status(dsn: str, package: str) -> list[tuple[str, bool]]:
    """Return every migration's label and whether it is applied."""
    migrations = load_migrations(package)
    async with _locked(dsn, package) as connection:
        done = await _applied(connection, package)
        return [(migration.label, migration.version in done) for migration in migrations]


def migrate_command(argv: Sequence[str], dsn: str, package: str) -> int:
    """Run `migrate up | down [STEPS] | status` for a command line; return the exit code.

    It is 1, with a line that says why, when the database is away or busy: nothing that
    a traceback would explain. A migration that is wrong itself still raises.
    """
    try:
        return _run(list(argv), dsn, package)
    except Exception as error:
        if not isinstance(error, MigrationError) and not is_transient(error):
            raise
        sys.stderr.write(f"migrate: {_one_line(error)}\n")
        return 1


def _run(argv: list[str], dsn: str, package: str) -> int:
    match argv:
        case ["up"]:
            return _report("applied", asyncio.run(migrate_up(dsn, package)))
        case ["down"]:
            return _report("taken back", asyncio.run(migrate_down(dsn, package)))
        case ["down", steps] if steps.isdecimal():
            return _report("taken back", asyncio.run(migrate_down(dsn, package, int(steps))))
        case ["status"]:
            status = asyncio.run(migration_status(dsn, package))
            lines = [f"{'applied' if done else 'pending'}  {label}" for label, done in status]
            sys.stdout.write("\n".join(lines) + "\n")
            return 0
    sys.stderr.write("usage: migrate up | down [STEPS] | status\n")
    return 2


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _report(what: str, labels: Sequence[str]) -> int:
    sys.stdout.writelines(f"{what}  {label}\n" for label in labels or ["nothing"])
    return 0


def _schema(package: str) -> str:
    return package.partition(".")[0]


def _table(package: str) -> str:
    return f"{_schema(package)}.schema_migrations"


@asynccontextmanager
async def _locked(dsn: str, package: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect and hold the schema's advisory lock, so that one process migrates at a time."""
    connection = await _connect(dsn)
    try:
        await connection.execute(
            "SELECT pg_advisory_lock(hashtext('goticket.migrations'), hashtext($1))",
            _schema(package),
        )
        await connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {_table(package)} ("
            " version int PRIMARY KEY, name text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        yield connection
    finally:
        await connection.close(timeout=5.0)


async def _connect(dsn: str) -> asyncpg.Connection:
    """Connect.

    Raises:
        MigrationError: nobody answers, or we are not let in.
    """
    try:
        return await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise MigrationError(f"cannot connect to the database: {_one_line(error)}") from error


async def _applied(connection: asyncpg.Connection, package: str) -> set[int]:
    rows = await connection.fetch(f"SELECT version FROM {_table(package)}")  # noqa: S608 - see above
    return {row["version"] for row in rows}
