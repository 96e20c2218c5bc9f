"""Local times are recorded when they are set; `catalog moved-events` compares them later."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from catalog.adapters.event_repository import PostgresEventRepository
from catalog.adapters.schedules import PostgresScheduleSource
from catalog.application.find_moved_events import find_moved_events
from catalog.domain.event import (
    Event,
    EventCancelled,
    EventDetails,
    EventPublished,
    EventStatus,
    EventUpdated,
    TicketType,
)
from catalog.entrypoints.moved_events import moved_event_line
from goticket_kernel.time_zones import TIME_ZONE_DATA
from goticket_platform.ids import new_id

NOW = datetime(2026, 11, 27, tzinfo=UTC)
START = datetime(2026, 12, 31, 3, tzinfo=UTC)


def make_event(start: datetime = START) -> Event:
    details = EventDetails(
        name="New Year's Eve Eve",
        description="",
        location="",
        currency="CAD",
        timezone="America/Vancouver",
        starts_at=start,
        ends_at=start + timedelta(hours=2),
    )
    return Event(
        id=new_id(),
        organizer_id=UUID(int=7),
        details=details,
        ticket_types=(TicketType(new_id(), "General Admission", 25000, 1000, 10),),
        status=EventStatus.PUBLISHED,
        version=1,
        created_at=NOW,
        updated_at=NOW,
        published_at=NOW,
    )


async def moved(pool: asyncpg.Pool) -> list[dict[str, object]]:
    found = find_moved_events(schedules=PostgresScheduleSource(pool), clock=lambda: NOW)
    return [json.loads(moved_event_line(*each)) async for each in found]


async def record_rules_of_2025(pool: asyncpg.Pool, event: Event) -> None:
    """Record the local times that tzdata 2025b gave: one hour earlier than tzdata 2026's."""
    await pool.execute(
        "UPDATE catalog.events SET local_starts_at = local_starts_at - interval '1 hour',"
        " local_ends_at = local_ends_at - interval '1 hour', time_zone_data = '2025b'"
        " WHERE id = $1",
        event.id,
    )


@pytest.fixture
async def event(events: PostgresEventRepository, pool: asyncpg.Pool) -> Event:
    """An event that was created under the rules of 2025."""
    event = make_event()
    await events.save(EventPublished(event))
    await record_rules_of_2025(pool, event)
    return event


async def test_an_event_that_the_rules_have_moved_is_listed(
    event: Event, events: PostgresEventRepository, pool: asyncpg.Pool
) -> None:
    await events.save(EventPublished(make_event()))  # created under the present rules

    (line,) = await moved(pool)

    assert line == {
        "eventId": str(event.id),
        "organizerId": str(event.organizer_id),
        "name": "New Year's Eve Eve",
        "timezone": "America/Vancouver",
        "startAt": "2026-12-31T03:00:00+00:00",
        "endAt": "2026-12-31T05:00:00+00:00",
        "set": {
            "localStart": "2026-12-30T19:00:00",
            "localEnd": "2026-12-30T21:00:00",
            "timeZoneData": "2025b",
        },
        "present": {
            "localStart": "2026-12-30T20:00:00",
            "localEnd": "2026-12-30T22:00:00",
            "timeZoneData": TIME_ZONE_DATA,
        },
    }


async def test_a_change_of_another_field_keeps_the_record(
    event: Event, events: PostgresEventRepository, pool: asyncpg.Pool
) -> None:
    details = replace(event.details, name="Renamed")
    await events.save(EventUpdated(event.next_version(NOW, details=details)))

    assert [line["name"] for line in await moved(pool)] == ["Renamed"]


@pytest.mark.parametrize(
    "change",
    [
        {"starts_at": START - timedelta(hours=1)},
        {"ends_at": START + timedelta(hours=3)},
        {"timezone": "America/Whitehorse"},
    ],
)
async def test_setting_a_time_or_the_zone_records_the_present_local_times(
    event: Event,
    events: PostgresEventRepository,
    pool: asyncpg.Pool,
    change: dict[str, object],
) -> None:
    details = replace(event.details, **change)  # type: ignore[arg-type]  # fields of different types
    await events.save(EventUpdated(event.next_version(NOW, details=details)))

    assert await moved(pool) == []
    assert (
        await pool.fetchval("SELECT time_zone_data FROM catalog.events WHERE id = $1", event.id)
        == TIME_ZONE_DATA
    )


async def test_cancelled_and_past_events_are_left_out(
    event: Event, events: PostgresEventRepository, pool: asyncpg.Pool
) -> None:
    await events.save(EventCancelled(event.next_version(NOW, status=EventStatus.CANCELLED)))
    past = make_event(NOW - timedelta(days=10))
    await events.save(EventPublished(past))
    await record_rules_of_2025(pool, past)

    assert await moved(pool) == []
