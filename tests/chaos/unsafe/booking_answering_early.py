"""`booking` that answers before its transaction is committed."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from booking.adapters.postgres.bookings import PostgresBookings
from booking.adapters.postgres.transaction import PostgresTransaction
from booking.entrypoints.cli import main

COMMIT_DELAY_SECONDS = 1.0

transaction = PostgresBookings.transaction
pending: set[asyncio.Task[None]] = set()


async def commit_later(block: AbstractAsyncContextManager[PostgresTransaction]) -> None:
    """Commit after a delay."""
    await asyncio.sleep(COMMIT_DELAY_SECONDS)
    await block.__aexit__(None, None, None)


@asynccontextmanager
async def committing_later(self: PostgresBookings) -> AsyncIterator[PostgresTransaction]:
    """Leave the block before the commit."""
    block = transaction(self)
    opened = await block.__aenter__()
    try:
        yield opened
    except BaseException:
        if not await block.__aexit__(*sys.exc_info()):
            raise
        return
    task = asyncio.create_task(commit_later(block))
    pending.add(task)
    task.add_done_callback(pending.discard)


if __name__ == "__main__":
    PostgresBookings.transaction = committing_later  # type: ignore[method-assign]  # on purpose
    main()
