"""Saving events: outbox rows, concurrent changes and migrations."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from catalog.adapters.event_messages import event_state
from catalog.adapters.event_repository import PostgresEventRepository
from catalog.domain.errors import StaleVersion
from catalog.domain.event import (
    Event,
    EventDetails,
    EventPublished,
    EventStatus,
    EventUpdated,
    TicketType,
)
from google.protobuf.json_format import Parse
from goticket.catalog.v1 import events_pb2
from goticket_platform.ids import new_id
from goticket_platform.migrations import migrate_down, migrate_up, migration_status
from goticket_platform.postgres import open_pool
from goticket_testing.databases import DatabaseFactory

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
PACKAGE = "catalog.migrations"


def make_event() -> Event:
    return Event(
        id=new_id(),
        organizer_id=UUID(int=7),
        details=EventDetails(
            name="Metallica Live",
            description="",
            location="",
            currency="EUR",
            timezone="UTC",
            starts_at=NOW + timedelta(days=1),
            ends_at=NOW + timedelta(days=2),
        ),
        ticket_types=(TicketType(new_id(), "General Admission", 25000, 1000, 10),),
        status=EventStatus.PUBLISHED,
        version=1,
        created_at=NOW,
        updated_at=NOW,
        published_at=NOW,
    )


def renamed(event: Event, name: str) -> EventUpdated:
    return EventUpdated(event.next_version(NOW, details=replace(event.details, name=name)))


async def outbox_of(pool: asyncpg.Pool) -> list[asyncpg.Record]:
    return await pool.fetch("SELECT * FROM catalog.outbox ORDER BY id")


async def test_the_outbox_row_has_the_whole_event(
    events: PostgresEventRepository, pool: asyncpg.Pool
) -> None:
    event = make_event()
    await events.save(EventPublished(event))

    (row,) = await outbox_of(pool)
    assert row["type"] == "goticket.catalog.event.published.v1"
    assert (row["aggregate_id"], row["partition_id"]) == (event.id, event.id)
    assert (row["aggregate_version"], row["occurred_at"]) == (1, NOW)
    payload = Parse(row["payload"], events_pb2.EventPublished())
    assert payload.event == event_state(event)


async def test_a_change_is_not_stored_without_its_outbox_row(
    events: PostgresEventRepository, pool: asyncpg.Pool
) -> None:
    event = make_event()
    await events.save(EventPublished(event))
    await pool.execute("ALTER TABLE catalog.outbox ADD CHECK (aggregate_version < 2)")

    with pytest.raises(asyncpg.CheckViolationError):
        await events.save(renamed(event, "Not stored"))
    assert await events.get(event.id) == event


async def test_a_stale_change_has_no_outbox_row(
    events: PostgresEventRepository, pool: asyncpg.Pool
) -> None:
    event = make_event()
    await events.save(EventPublished(event))
    await events.save(renamed(event, "First"))

    with pytest.raises(StaleVersion):
        await events.save(renamed(event, "Second"))
    assert [row["aggregate_version"] for row in await outbox_of(pool)] == [1, 2]


async def test_exactly_one_of_concurrent_changes_to_one_version_is_stored(
    events: PostgresEventRepository, pool: asyncpg.Pool
) -> None:
    event = make_event()
    await events.save(EventPublished(event))
    writers = 50
    barrier = asyncio.Barrier(writers)

    async def write(number: int) -> str | None:
        await barrier.wait()
        try:
            await events.save(renamed(event, f"Name {number}"))
        except StaleVersion:
            return None
        return f"Name {number}"

    stored_names = [
        name for name in await asyncio.gather(*(write(number) for number in range(writers))) if name
    ]
    stored = await events.get(event.id)
    assert stored is not None
    assert stored_names == [stored.details.name]
    assert stored.version == 2
    assert len(await outbox_of(pool)) == 2


async def test_changed_ticket_types_keep_their_order(events: PostgresEventRepository) -> None:
    event = make_event()
    await events.save(EventPublished(event))
    (only,) = event.ticket_types
    swapped = event.next_version(NOW, ticket_types=(TicketType(new_id(), "VIP", 1, 1, 1), only))
    await events.save(EventUpdated(swapped))

    assert await events.get(event.id) == swapped


async def test_migrations_go_up_and_down_and_up_again(database: DatabaseFactory) -> None:
    dsn = await database("catalog")
    labels = [label for label, _ in await migration_status(dsn, PACKAGE)]
    assert await migrate_up(dsn, PACKAGE) == []

    assert await migrate_down(dsn, PACKAGE, len(labels)) == labels[::-1]
    pool = await open_pool(dsn)
    try:
        tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'catalog'")
    finally:
        await pool.close()
    assert [row["tablename"] for row in tables] == ["schema_migrations"]
    assert await migrate_up(dsn, PACKAGE) == labels
    assert all(applied for _, applied in await migration_status(dsn, PACKAGE))
