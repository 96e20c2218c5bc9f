"""PostgreSQL: connection pools that survive server restarts, and named SQL in files."""

import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

import asyncpg

LOCK_TIMEOUT_MS = 3_000
"""A statement waits this long for a lock before it fails (milliseconds)."""

_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)$", re.MULTILINE)

DATABASE_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # raised when a connection is lost in the middle of a message
    OSError,
)
"""Everything that a statement raises because of its connection or server."""
_TRANSIENT = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # raised when a connection is lost in the middle of a message
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    OSError,
)

INDEX_ONLY_SETTINGS = MappingProxyType(
    dict.fromkeys(("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"), "off")
)
"""Settings of sessions whose statements all find their rows by key. A table can grow from empty
to a million rows before its statistics are updated. Until then the planner would choose
sequential scans. JIT is off because disabled plan types have a very high estimated cost, for
which the planner would compile each statement."""


async def open_pool(
    dsn: str,
    *,
    min_size: int = 0,
    max_size: int = 10,
    command_timeout: float = 10.0,
    connect_timeout: float = 3.0,
    lock_timeout_ms: int = LOCK_TIMEOUT_MS,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> asyncpg.Pool:
    """Open a pool that connects at its first use.

    So a service can start, and report "not ready", while PostgreSQL is down. Timeouts are in
    seconds, `lock_timeout_ms` in milliseconds. Every session starts with `settings`. The pool
    does not reset sessions: code that changes a setting or adds a listener must undo it.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=min_size,
        max_size=max_size,
        command_timeout=command_timeout,
        timeout=connect_timeout,
        max_inactive_connection_lifetime=300.0,
        reset=_keep_session,
        server_settings={"lock_timeout": str(lock_timeout_ms), "timezone": "UTC", **settings},
    )


async def _keep_session(_connection: object) -> None:
    """Do nothing: it saves the round trip of RESET ALL when a connection returns to the pool."""


def load_queries(package: str, name: str = "queries.sql") -> Mapping[str, str]:
    """Read the statements of an SQL file, keyed by the `-- name: …` line above each.

    Raises:
        ValueError: two statements have the same name, or the file has no named statement.
    """
    text = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    _, *rest = _NAME.split(text)
    names, bodies = rest[::2], rest[1::2]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{package}/{name}: each statement needs a unique name")
    return MappingProxyType(dict(zip(names, (body.strip() for body in bodies), strict=True)))


def is_transient(error: BaseException) -> bool:
    """Return whether a retry of the same work may succeed.

    True for a lost or refused connection, a server that stops or starts, a lock timeout, a
    deadlock, a serialization failure and a timeout.
    """
    # asyncpg.DataError, an invalid argument, is an InterfaceError too but not transient.
    return isinstance(error, _TRANSIENT) and not isinstance(error, asyncpg.DataError)
