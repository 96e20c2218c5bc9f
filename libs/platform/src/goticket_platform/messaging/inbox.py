"""The inbox: an event's effect and the note that it happened are one transaction."""

from uuid import UUID

import asyncpg

from goticket_platform.messaging.statements import statements


async def first_time(
    connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy,
    schema: str,
    consumer: str,
    event_id: UUID,
) -> bool:
    """Note that `consumer` handles the event, in the caller's transaction; tell if it is new.

    A concurrent duplicate waits here until the first one commits (then False) or
    rolls back (then True).

    Raises:
        asyncpg.LockNotAvailableError: the other one took longer than `lock_timeout`.
    """
    status = await connection.execute(statements(schema)["remember_event"], consumer, event_id)
    return bool(status == "INSERT 0 1")
