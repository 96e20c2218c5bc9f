"""`booking`, but it answers before its transaction is committed."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from booking.adapters.postgres.bookings import PostgresBookings
from booking.adapters.postgres.transaction import PostgresTransaction
from booking.entrypoints.cli import main

COMMIT_AFTER_SECONDS = 1.0

transaction = PostgresBookings.transaction
under_way: set[asyncio.Task[None]] = set()


async def commit_some_day(block: AbstractAsyncContextManager[PostgresTransaction]) -> None:
    """Leave the transaction later."""
    await asyncio.sleep(COMMIT_AFTER_SECONDS)
    await block.__aexit__(None, None, None)


@asynccontextmanager
async def left_early(self: PostgresBookings) -> AsyncIterator[PostgresTransaction]:
    """Say that it is done; do it later."""
    block = transaction(self)
    opened = await block.__aenter__()
    try:
        yield opened
    except BaseException:
        if not await block.__aexit__(*sys.exc_info()):
            raise
        return
    task = asyncio.create_task(commit_some_day(block))
    under_way.add(task)
    task.add_done_callback(under_way.discard)


if __name__ == "__main__":
    PostgresBookings.transaction = left_early  # type: ignore[method-assign]  # on purpose
    main()
