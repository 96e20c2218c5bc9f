"""The command `refused-deliveries`: lists deliveries that were refused, and sends them again."""

from collections.abc import Sequence

import asyncpg

from notification.delivery_queue import QUERIES

CONNECT_SECONDS = 5.0


async def list_refused(dsn: str, limit: int) -> Sequence[dict[str, object]]:
    """Return up to `limit` refused deliveries, oldest first."""
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    try:
        return [dict(row) for row in await connection.fetch(QUERIES["list_refused"], limit)]
    finally:
        await connection.close()


async def replay_refused(dsn: str, limit: int | None) -> int:
    """Make up to `limit` refused deliveries (None: all) pending again; return how many."""
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    try:
        status = await connection.execute(QUERIES["replay_refused"], limit)
        return int(status.rpartition(" ")[2])
    finally:
        await connection.close()
