"""PostgreSQL: pools that outlive a restart of the server, and SQL kept by name in files."""

import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

import asyncpg

LOCK_TIMEOUT_MS = 3_000
"""How long a statement may wait for a lock before it gives up (milliseconds)."""

_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)$", re.MULTILINE)

_TRANSIENT = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a connection says that dies in the middle of its protocol
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
"""Settings of sessions whose every statement finds its rows by key. A table can grow from
nothing to a million rows before its statistics are renewed; until then a planner that believes
them reads all of it for every statement. Just-in-time compiling is off because a planner that
has to take a way that is off thinks it dear, and would compile it each time."""


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
    """Open a pool that connects when it is first used.

    So a service starts, and says "not ready", while PostgreSQL is down. Timeouts
    are in seconds, `lock_timeout_ms` in milliseconds. A connection comes back with its
    transaction ended; whoever sets anything else for the session, or listens, undoes it.
    Every session begins with `settings`.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=min_size,
        max_size=max_size,
        command_timeout=command_timeout,
        timeout=connect_timeout,
        max_inactive_connection_lifetime=300.0,
        reset=_leave_as_it_is,
        server_settings={"lock_timeout": str(lock_timeout_ms), "timezone": "UTC", **settings},
    )


async def _leave_as_it_is(_connection: object) -> None:
    """Spare every use of a connection the round trip of RESET ALL and its like."""


def load_queries(package: str, name: str = "queries.sql") -> Mapping[str, str]:
    """Read the statements of an SQL file, keyed by the `-- name: …` line above each.

    Raises:
        ValueError: two statements share a name, or the file names none.
    """
    text = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    _, *rest = _NAME.split(text)
    names, bodies = rest[::2], rest[1::2]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{package}/{name}: every statement needs a name of its own")
    return MappingProxyType(dict(zip(names, (body.strip() for body in bodies), strict=True)))


def is_transient(error: BaseException) -> bool:
    """Tell whether the same work may succeed a moment later.

    True for a lost or refused connection, a server that stops or starts, a lock
    not granted in time, a deadlock, a serialization failure and a timeout.
    """
    # asyncpg.DataError, a bad argument, is an InterfaceError too; no retry mends it.
    return isinstance(error, _TRANSIENT) and not isinstance(error, asyncpg.DataError)
