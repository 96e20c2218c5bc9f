"""Reads the times of all events that are not over."""

from collections.abc import AsyncIterator
from datetime import datetime

import asyncpg
from goticket_platform.postgres import load_queries

from catalog.domain.local_times import LocalTimes, Schedule

QUERIES = load_queries("catalog.adapters")


class PostgresScheduleSource:
    """Reads from the catalog schema with a cursor, so that the number of events has no limit."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def unfinished(self, now: datetime) -> AsyncIterator[Schedule]:
        """Yield the drafts and published events that end after `now`, the earliest start first."""
        async with self._pool.acquire() as connection, connection.transaction(readonly=True):
            async for row in connection.cursor(QUERIES["unfinished_schedules"], now):
                yield Schedule(
                    event_id=row["id"],
                    organizer_id=row["organizer_id"],
                    name=row["name"],
                    timezone=row["timezone"],
                    starts_at=row["starts_at"],
                    ends_at=row["ends_at"],
                    recorded=LocalTimes(
                        row["local_starts_at"], row["local_ends_at"], row["time_zone_data"]
                    ),
                )
