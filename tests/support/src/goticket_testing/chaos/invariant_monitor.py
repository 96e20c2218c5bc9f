"""Reads the inventory throughout a run, because overselling is forbidden at any time."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import asyncpg

from goticket_testing.stack import RunningStack

INTERVAL_SECONDS = 0.2
OVERSOLD = """
SELECT format('temporarily oversold: ticket type %s, held %s and sold %s of %s',
              ticket_type_id, held, sold, capacity)
FROM booking.inventory WHERE event_id = ANY ($1::uuid[]) AND sold + held > capacity
"""


@asynccontextmanager
async def monitor_inventory(
    stack: RunningStack, event_ids: Collection[str]
) -> AsyncIterator[set[str]]:
    """Yield a set that collects the violations observed during the block."""
    observed: set[str] = set()
    monitor = asyncio.create_task(_monitor(stack, list(event_ids), observed))
    try:
        yield observed
    finally:
        monitor.cancel()
        await asyncio.wait([monitor])


async def _monitor(stack: RunningStack, event_ids: list[str], observed: set[str]) -> None:
    while True:
        try:
            await _poll(stack, event_ids, observed)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            # The database is unavailable, so nothing can be sold.
            await asyncio.sleep(INTERVAL_SECONDS)


async def _poll(stack: RunningStack, event_ids: list[str], observed: set[str]) -> None:
    connection = await asyncpg.connect(stack.superuser_url(), timeout=5, command_timeout=5)
    try:
        while True:
            observed.update(row[0] for row in await connection.fetch(OVERSOLD, event_ids))
            await asyncio.sleep(INTERVAL_SECONDS)
    finally:
        connection.terminate()
