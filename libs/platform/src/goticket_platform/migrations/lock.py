"""The advisory lock that lets one process at a time migrate a schema."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from goticket_platform.migrations.files import MigrationError
from goticket_platform.postgres import DATABASE_ERRORS

CONNECT_SECONDS = 10.0
WAIT_SECONDS = 120.0
"""Time limit for the lock. Other replicas of a release wait for the first one's migrations."""
POLL_SECONDS = 0.2
CLOSE_SECONDS = 5.0

_KEYS = "hashtext('goticket.migrations'), hashtext($1)"
_TRY_LOCK = f"SELECT pg_try_advisory_lock({_KEYS})"
_HOLDER = """
SELECT session.pid, session.application_name AS application,
       coalesce(host(session.client_addr), 'a local socket') AS client,
       session.backend_start AS since
FROM pg_locks AS lock JOIN pg_stat_activity AS session USING (pid)
WHERE lock.locktype = 'advisory' AND lock.granted AND lock.objsubid = 2
  AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  -- The view shows the two integers of the key as unsigned numbers.
  AND lock.classid::bigint = hashtext('goticket.migrations')::bigint & 4294967295
  AND lock.objid::bigint = hashtext($1)::bigint & 4294967295
"""


@asynccontextmanager
async def locked(dsn: str, schema: str, wait_seconds: float) -> AsyncIterator[asyncpg.Connection]:
    """Connect, and hold the schema's lock during the block.

    The lock is polled. A session that waits inside pg_advisory_lock holds a snapshot, for which
    CREATE INDEX CONCURRENTLY of the lock's holder waits: a deadlock.

    Raises:
        MigrationError: the database refuses the connection, or another process holds the lock
            for longer than `wait_seconds`.
    """
    async with connected(dsn, schema) as connection:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_seconds
        while not await connection.fetchval(_TRY_LOCK, schema):
            if loop.time() >= deadline:
                raise MigrationError(await _describe_holder(connection, schema, wait_seconds))
            await asyncio.sleep(POLL_SECONDS)
        yield connection


@asynccontextmanager
async def connected(dsn: str, schema: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect under a name that others see in the list of sessions.

    Raises:
        MigrationError: the database refuses the connection.
    """
    try:
        connection = await asyncpg.connect(
            dsn,
            timeout=CONNECT_SECONDS,
            server_settings={"application_name": f"{schema} migrate"},
        )
    except DATABASE_ERRORS as error:
        reason = str(error) or type(error).__name__
        raise MigrationError(f"cannot connect to the database: {reason}") from error
    try:
        yield connection
    finally:
        await connection.close(timeout=CLOSE_SECONDS)


async def _describe_holder(connection: asyncpg.Connection, schema: str, seconds: float) -> str:
    holder = await connection.fetchrow(_HOLDER, schema)
    by = (
        "another process"
        if holder is None  # it has just released the lock
        else f"pid {holder['pid']} ({holder['application']}) from {holder['client']}, "
        f"connected since {holder['since']:%Y-%m-%dT%H:%M:%SZ}"
    )
    return f"schema {schema} is being migrated by {by}; gave up after {seconds:g} s"
