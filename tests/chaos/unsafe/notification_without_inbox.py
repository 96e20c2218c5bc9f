"""`notification`, but every event is new to it."""

from uuid import UUID

import asyncpg
from goticket_platform.messaging import inbox

first_time = inbox.first_time


async def always(
    connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy,
    schema: str,
    consumer: str,
    event_id: UUID,
) -> bool:
    """Note the event and believe that nobody has before."""
    await first_time(connection, schema, consumer, event_id)
    return True


if __name__ == "__main__":
    inbox.first_time = always
    from notification.cli import main  # it binds `first_time` when it is imported

    main()
