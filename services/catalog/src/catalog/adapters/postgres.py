"""Events in PostgreSQL; every change commits together with its outbox row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
from goticket.catalog.v1 import events_pb2
from goticket_platform.messaging.outbox import Outbox, OutboxMessage, OutboxNotifier
from goticket_platform.postgres import load_queries

from catalog.adapters.event_pages import next_cursor, page_statement
from catalog.adapters.event_rows import event_of
from catalog.application.ports import EventPage
from catalog.domain.errors import StaleVersion
from catalog.domain.event import Event, EventCancelled, EventChange, EventPublished, EventUpdated
from catalog.domain.listing import EventListing
from catalog.wire import event_to_proto

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

QUERIES = load_queries("catalog.adapters")

_ANNOUNCEMENTS = {
    EventPublished: ("goticket.catalog.event.published.v1", events_pb2.EventPublished),
    EventUpdated: ("goticket.catalog.event.updated.v1", events_pb2.EventUpdated),
    EventCancelled: ("goticket.catalog.event.cancelled.v1", events_pb2.EventCancelled),
}


class PostgresEvents:
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
        """Return those of the events that exist, in no particular order."""
        rows = await self._pool.fetch(QUERIES["get_events"], event_ids)
        return [event_of(row) for row in rows]

    async def page(self, listing: EventListing) -> EventPage:
        """Return one page.

        Raises:
            InvalidQuery: the cursor is not one of this list.
        """
        sql, values = page_statement(QUERIES["page_of_events"], listing)
        rows = await self._pool.fetch(sql, *values)
        events = tuple(event_of(row) for row in rows[: listing.limit])
        if len(rows) <= listing.limit:
            return EventPage(events)
        last_score = rows[listing.limit - 1]["score"]
        return EventPage(events, next_cursor(listing, events[-1], last_score))

    async def save(self, change: EventChange) -> None:
        """Store what happened and announce it, both or neither.

        Raises:
            StaleVersion: the stored version is not the one just before the change's.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await _write(connection, change.event)
            await self._outbox.append(connection, [_announcement(change)])
        # After the commit: a NOTIFY inside would make all commits of the database queue up.
        self._notifier.wake()


async def _write(connection: "PoolConnectionProxy[asyncpg.Record]", event: Event) -> None:
    details, ticket_types = event.details, event.ticket_types
    fields = (
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
    )
    if event.version == 1:
        await connection.execute(
            QUERIES["insert_event"],
            event.id,
            event.organizer_id,
            *fields,
            event.created_at,
        )
    else:
        updated = await connection.fetchval(QUERIES["update_event"], event.id, *fields)
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


def _announcement(change: EventChange) -> OutboxMessage:
    type_, message = _ANNOUNCEMENTS[type(change)]
    event = change.event
    return OutboxMessage(
        type=type_,
        aggregate_id=event.id,
        aggregate_version=event.version,
        partition_id=event.id,
        payload=message(event=event_to_proto(event)),
        occurred_at=event.updated_at,
    )
