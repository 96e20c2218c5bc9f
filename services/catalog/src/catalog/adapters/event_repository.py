"""Events in PostgreSQL. A change and its outbox row are committed together."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
from goticket_platform.messaging.outbox import Outbox, OutboxNotifier
from goticket_platform.postgres import load_queries

from catalog.adapters.event_messages import outbox_message
from catalog.adapters.event_page_statement import build_page_statement, next_cursor
from catalog.adapters.event_rows import event_from_row
from catalog.application.ports import EventPage
from catalog.domain.errors import StaleVersion
from catalog.domain.event import Event, EventChange
from catalog.domain.list_events import EventPageRequest
from catalog.domain.local_times import local_times

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

QUERIES = load_queries("catalog.adapters")
SESSION_SETTINGS = MappingProxyType({"plan_cache_mode": "force_custom_plan"})
"""Settings of the pool's sessions. A search for "e" matches most events, one for "!!!" a few. The
statement is the same, so each search gets a plan of its own."""


class PostgresEventRepository:
    """The events of the catalog schema."""

    def __init__(self, pool: asyncpg.Pool, outbox: Outbox, notifier: OutboxNotifier) -> None:
        self._pool = pool
        self._outbox = outbox
        self._notifier = notifier

    async def get(self, event_id: UUID) -> Event | None:
        """Return the event, or None."""
        found = await self.get_many([event_id])
        return found[0] if found else None

    async def get_many(self, event_ids: Sequence[UUID]) -> list[Event]:
        """Return the events that exist, in no particular order."""
        rows = await self._pool.fetch(QUERIES["get_events"], event_ids)
        return [event_from_row(row) for row in rows]

    async def get_page(self, request: EventPageRequest) -> EventPage:
        """Return one page.

        Raises:
            InvalidQuery: the cursor does not belong to this list.
        """
        sql, parameters = build_page_statement(QUERIES, request)
        rows = await self._pool.fetch(sql, *parameters)
        events = tuple(event_from_row(row) for row in rows[: request.limit])
        if len(rows) <= request.limit:
            return EventPage(events)
        last_score = rows[request.limit - 1]["score"]
        return EventPage(events, next_cursor(request, events[-1], last_score))

    async def save(self, change: EventChange) -> None:
        """Store a change together with its integration event, both or neither.

        Raises:
            StaleVersion: the stored version is not the one before the change's.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await _write(connection, change.event)
            await self._outbox.append(connection, [outbox_message(change)])
        # After the commit: a NOTIFY inside would serialize all commits of the database.
        self._notifier.wake()


async def _write(connection: "PoolConnectionProxy[asyncpg.Record]", event: Event) -> None:
    details, ticket_types = event.details, event.ticket_types
    local = local_times(details.timezone, details.starts_at, details.ends_at)
    values = (
        details.name,
        details.description,
        details.location,
        details.currency,
        details.timezone,
        details.starts_at,
        details.ends_at,
        event.status,
        event.version,
        event.updated_at,
        event.published_at,
        details.max_per_buyer,
        local.starts_at,
        local.ends_at,
        local.time_zone_data,
    )
    if event.version == 1:
        await connection.execute(
            QUERIES["insert_event"], event.id, event.organizer_id, *values, event.created_at
        )
    else:
        updated = await connection.fetchval(QUERIES["update_event"], event.id, *values)
        if updated is None:
            raise StaleVersion
        await connection.execute(QUERIES["delete_ticket_types"], event.id)
    await connection.execute(
        QUERIES["insert_ticket_types"],
        event.id,
        [ticket_type.id for ticket_type in ticket_types],
        [ticket_type.name for ticket_type in ticket_types],
        [ticket_type.price for ticket_type in ticket_types],
        [ticket_type.capacity for ticket_type in ticket_types],
        [ticket_type.max_per_booking for ticket_type in ticket_types],
        [ticket_type.max_per_buyer for ticket_type in ticket_types],
    )
