"""`booking` whose statements lock no rows.

A transaction pauses after it has read the inventory, so that its decision uses rows that may
have changed meanwhile. With locks such a pause would be harmless.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

import asyncpg
from goticket_platform import postgres

LOCK = re.compile(r"\bFOR (NO KEY )?UPDATE\b( OF \w+)?( SKIP LOCKED)?")
PAUSE_SECONDS = 0.5
load_queries = postgres.load_queries


def load_without_locks(package: str, name: str = "queries.sql") -> Mapping[str, str]:
    """Read the statements of a file; remove the row locks from those of booking."""
    found = load_queries(package, name)
    if not package.startswith("booking."):
        return found
    changed = {key: LOCK.sub("", sql) for key, sql in found.items()}
    if changed == dict(found):
        raise RuntimeError("booking has no row locks any more, so this test proves nothing")
    return MappingProxyType(changed)


def pausing(fetch: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Pause in a transaction after each statement that reads the inventory."""

    async def fetch_and_pause(self: Any, query: str, *arguments: Any, **options: Any) -> Any:
        found = await fetch(self, query, *arguments, **options)
        reads = "FROM booking.inventory" in query and "UPDATE booking.inventory" not in query
        if reads and self.is_in_transaction():
            await asyncio.sleep(PAUSE_SECONDS)
        return found

    return fetch_and_pause


if __name__ == "__main__":
    postgres.load_queries = load_without_locks
    for method in ("fetch", "fetchrow", "fetchval"):
        setattr(asyncpg.Connection, method, pausing(getattr(asyncpg.Connection, method)))
    # Adapters call `load_queries` when they are imported.
    from booking.entrypoints.cli import main

    main()
