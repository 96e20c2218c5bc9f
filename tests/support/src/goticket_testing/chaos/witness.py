"""Watches the stock all the time: what is oversold for a moment has been oversold."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import asyncpg

from goticket_testing.stack import RunningStack

EVERY_SECONDS = 0.2
OVERSOLD = """
SELECT format('oversold for a moment: ticket type %s, held %s and sold %s of %s',
              ticket_type_id, held, sold, capacity)
FROM booking.inventory WHERE event_id = ANY ($1::uuid[]) AND sold + held > capacity
"""


@asynccontextmanager
async def watching(stack: RunningStack, event_ids: Collection[str]) -> AsyncIterator[set[str]]:
    """Watch inside the block; the set grows by what is seen."""
    seen: set[str] = set()
    watch = asyncio.create_task(_watch(stack, list(event_ids), seen))
    try:
        yield seen
    finally:
        watch.cancel()
        await asyncio.wait([watch])


async def _watch(stack: RunningStack, event_ids: list[str], seen: set[str]) -> None:
    while True:
        try:
            await _look(stack, event_ids, seen)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            await asyncio.sleep(EVERY_SECONDS)  # the database is away: nothing can be sold


async def _look(stack: RunningStack, event_ids: list[str], seen: set[str]) -> None:
    connection = await asyncpg.connect(stack.superuser_url(), timeout=5, command_timeout=5)
    try:
        while True:
            seen.update(row[0] for row in await connection.fetch(OVERSOLD, event_ids))
            await asyncio.sleep(EVERY_SECONDS)
    finally:
        connection.terminate()
