"""Changes of events in PostgreSQL: what buyers know, what is due, and how far announcements are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import asyncpg
from goticket_platform.postgres import load_queries

from notification.bookings import Event
from notification.event_json import event_json

MAX_AT_ONCE = 100
"""Most announcements that one statement starts or reads."""

MAX_SUPERSEDED = 1_000
"""Most deliveries that one statement supersedes, so that none holds locks for long."""

_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)

QUERIES = load_queries("notification", "event_changes.sql")


@dataclass(frozen=True)
class Announcement:
    """Tells all buyers of an event about its change to `version`.

    Bookings up to `after_booking_id` have their deliveries.
    """

    id: UUID
    event_id: UUID
    version: int
    after_booking_id: UUID


@dataclass(frozen=True)
class BuyerPage:
    """The buyers of the next bookings, without duplicates, and the last of these bookings."""

    buyer_ids: Sequence[UUID]
    last_booking_id: UUID
    is_last: bool


class EventChanges:
    """Records versions of published events and announces differences.

    A change is announced `window` after the last one of a series, and at most `limit` after the
    first. A series that ends where it began is not announced.
    """

    def __init__(self, pool: asyncpg.Pool, window: timedelta, limit: timedelta) -> None:
        self._pool = pool
        self._window = window
        self._limit = limit

    async def record(self, event_id: UUID, event: Event) -> None:
        """Store a version of a published event; a known version changes nothing."""
        facts = event_json(event)
        await self._pool.execute(
            QUERIES["record_version"],
            *(event_id, event.version, facts, event.ends_at, self._window, self._limit),
        )
        await self._pool.execute(
            QUERIES["record_earlier_version"], event_id, event.version, facts, self._window
        )

    async def record_cancellation(self, event_id: UUID, event: Event) -> None:
        """Stop every announcement about the event, and the e-mails that are waiting."""
        await self._pool.execute(
            QUERIES["record_cancellation"],
            *(event_id, event.version, event_json(event), event.ends_at),
        )
        await self._pool.execute(QUERIES["finish_announcements"], event_id)
        await self._pool.execute(QUERIES["supersede_held_deliveries"], event_id)
        superseded = MAX_SUPERSEDED
        while superseded == MAX_SUPERSEDED:
            status = await self._pool.execute(
                QUERIES["supersede_deliveries"], event_id, MAX_SUPERSEDED
            )
            superseded = int(status.rpartition(" ")[2])

    async def start_due(self) -> None:
        """Start the announcements that are due. Any number of workers may call it at once."""
        await self._pool.execute(QUERIES["start_announcements"], MAX_AT_ONCE)

    async def unfinished(self) -> list[Announcement]:
        """Return all announcements that have not reached all buyers, oldest first.

        They are read in pages. All of them: those that cannot continue must not hide the others.
        """
        found: list[Announcement] = []
        after = (_BEFORE_ALL, UUID(int=0))
        while True:
            rows = await self._pool.fetch(QUERIES["unfinished_announcements"], MAX_AT_ONCE, *after)
            found += [
                Announcement(
                    row["announcement_id"], row["event_id"], row["version"], row["after_booking_id"]
                )
                for row in rows
            ]
            if len(rows) < MAX_AT_ONCE:
                return found
            after = (rows[-1]["created_at"], rows[-1]["announcement_id"])

    async def enqueue(self, announcement: Announcement, page: BuyerPage) -> None:
        """Store the deliveries of a page of buyers, and the position after it, both or neither.

        A repeat, after a crash or by another worker, has no effect.
        """
        await self._pool.execute(
            QUERIES["enqueue_announcement"],
            announcement.id,
            announcement.after_booking_id,
            page.last_booking_id,
            page.is_last,
            [uuid5(announcement.id, str(buyer_id)) for buyer_id in page.buyer_ids],
            [uuid5(announcement.event_id, str(buyer_id)) for buyer_id in page.buyer_ids],
            list(page.buyer_ids),
        )
