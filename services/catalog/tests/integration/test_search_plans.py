"""The indexes that serve lists and searches among 50,000 events."""

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from catalog.adapters.event_page_statement import build_page_statement
from catalog.adapters.event_repository import QUERIES, SESSION_SETTINGS
from catalog.domain.list_events import EventFilter, EventPageRequest, EventSort
from goticket_platform.cursors import encode_cursor
from goticket_platform.ids import new_id
from goticket_platform.postgres import open_pool
from goticket_testing.databases import Postgres

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]

Json = dict[str, Any]

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
ROWS = 50_000
UPCOMING = EventFilter(ends_after=NOW)
ENDED = EventFilter(ended_at=NOW)

TIME_SORTS = [EventSort.STARTS_AT_ASC, EventSort.STARTS_AT_DESC, EventSort.CREATED_AT_DESC]
TIME_INDEXES = {
    EventSort.STARTS_AT_ASC: "events_status_starts_at_idx",
    EventSort.STARTS_AT_DESC: "events_status_starts_at_idx",
    EventSort.CREATED_AT_DESC: "events_status_created_at_idx",
}


def page_request(
    filter_: EventFilter | None = None,
    sort: EventSort = EventSort.STARTS_AT_ASC,
    cursor: str = "",
) -> EventPageRequest:
    return EventPageRequest(filter_ or EventFilter(), sort, 20, cursor)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def large_table(postgres_server: Postgres) -> AsyncIterator["Connection"]:
    """A table of ROWS events with fresh statistics."""
    random_ = random.Random(7)
    words = [f"{a}{b}{c}" for a, b, c in itertools.product("bdfklmnrst", "aeiou", "ndlrst")]
    rows = []
    for number in range(ROWS):
        name, location, description = (
            " ".join(random_.choices(words, k=count)) for count in (3, 2, 12)
        )
        starts_at = NOW + timedelta(minutes=random_.randrange(-500_000, 500_000))
        rows.append(
            (
                new_id(),
                UUID(int=number % 200),
                name,
                description,
                location,
                "EUR",
                "UTC",
                starts_at,
                starts_at + timedelta(hours=2),
                starts_at.replace(tzinfo=None),
                (starts_at + timedelta(hours=2)).replace(tzinfo=None),
                "2026f",
                random_.choices(["published", "cancelled", "draft"], [90, 5, 5])[0],
                1,
                NOW + timedelta(seconds=number),
                NOW,
                NOW,
            )
        )
    columns = (
        "id organizer_id name description location currency timezone starts_at ends_at"
        " local_starts_at local_ends_at time_zone_data"
        " status version created_at updated_at published_at"
    )
    name = await postgres_server.clone("catalog")
    pool = await open_pool(
        postgres_server.dsn("catalog", name), command_timeout=120, settings=SESSION_SETTINGS
    )
    async with pool.acquire() as connection:
        await connection.copy_records_to_table(
            "events", schema_name="catalog", columns=columns.split(), records=rows
        )
        await connection.execute(
            "INSERT INTO catalog.ticket_types"
            " SELECT gen_random_uuid(), id, 1, 'Standing', 100, 10, 10 FROM catalog.events"
        )
        await connection.execute("VACUUM ANALYZE catalog.events")
        await connection.execute("ANALYZE catalog.ticket_types")
        yield connection
    await asyncio.wait_for(pool.close(), 10)
    await postgres_server.drop(name)


async def plan_of(connection: "Connection", request: EventPageRequest) -> str:
    """Return the plan that the pool's sessions use for these values."""
    sql, values = build_page_statement(QUERIES, request)
    return "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {sql}", *values))


RUNNING = "events_running_idx"
GRAMS = "events_grams_idx"
TEXT_INDEXES = {
    GRAMS,
    "events_document_idx",
    "events_name_trigram_idx",
    "events_location_trigram_idx",
}


def list_cases() -> list[tuple[EventPageRequest, set[str]]]:
    """Return lists without a search, and the indexes that serve each."""
    cursor_time = (NOW + timedelta(minutes=100_000)).isoformat()
    soon = EventFilter(starts_from=NOW, starts_before=NOW + timedelta(days=3))
    cases: list[tuple[EventPageRequest, set[str]]] = []
    for sort in TIME_SORTS:
        cursor = encode_cursor(sort, cursor_time, str(UUID(int=1)))
        index = {TIME_INDEXES[sort]}
        running = index if sort is EventSort.CREATED_AT_DESC else index | {RUNNING}
        cases += [
            (page_request(sort=sort), index),
            (page_request(UPCOMING, sort), running),
            (page_request(UPCOMING, sort, cursor=cursor), running),
            (page_request(ENDED, sort), index),
            (page_request(ENDED, sort, cursor=cursor), index),
            (page_request(replace(UPCOMING, location="an"), sort), running),
        ]
        for period in (EventFilter(), UPCOMING, ENDED):
            own = replace(period, organizer_id=UUID(int=3))
            cases.append((page_request(own, sort), {"events_organizer_idx"}))
            for location in ("banban", "北京", "!!!"):
                cases.append((page_request(replace(period, location=location), sort), {GRAMS}))
    by_start = {"events_status_starts_at_idx"}
    cases += [
        (page_request(soon), by_start),
        (page_request(soon, EventSort.STARTS_AT_DESC), by_start),
    ]
    return cases


def search_cases() -> list[tuple[EventPageRequest, set[str]]]:
    """Return searches of each kind and length, and the indexes that serve each."""
    cases: list[tuple[EventPageRequest, set[str]]] = []
    for period, sort in itertools.product((EventFilter(), UPCOMING, ENDED), EventSort):
        for indexes, queries in (
            ({GRAMS}, ("周杰", "周", "!!!", "!", "🎸")),
            (TEXT_INDEXES, ("banana split", "周杰伦")),
        ):
            cases += [
                (page_request(replace(period, query=query), sort), indexes) for query in queries
            ]
    return cases


async def test_an_index_serves_every_list_and_search(large_table: "Connection") -> None:
    for request, indexes in list_cases() + search_cases():
        plan = await plan_of(large_table, request)
        assert "Seq Scan" not in plan, f"{request}\n{plan}"
        missing = [index for index in indexes if index not in plan]
        assert not missing, f"{request}\n{plan}"


@pytest.mark.parametrize("filter_", [EventFilter(query="an"), EventFilter(location="an")])
async def test_a_part_of_most_events_is_searched_in_the_order_of_the_list(
    large_table: "Connection", filter_: EventFilter
) -> None:
    for sort, ends_after in itertools.product(TIME_SORTS, (None, NOW)):
        plan = await plan_of(
            large_table, page_request(replace(filter_, ends_after=ends_after), sort)
        )
        # Many rows match, so a page is complete after a few of them.
        assert TIME_INDEXES[sort] in plan, plan
        assert "Seq Scan" not in plan


async def test_the_default_list_does_not_read_the_events_of_the_past(
    large_table: "Connection",
) -> None:
    for sort in (EventSort.STARTS_AT_ASC, EventSort.STARTS_AT_DESC):
        for filter_ in (UPCOMING, ENDED):
            sql, values = build_page_statement(QUERIES, page_request(filter_, sort))
            explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}"
            (plan,) = json.loads(await large_table.fetchval(explain, *values))
            assert rows_read(plan["Plan"]) < 1_000, plan


def rows_read(plan: Json) -> int:
    """Return the rows of events that a plan reads, those it discards included."""
    rows = 0
    if plan.get("Relation Name") == "events":
        rows = plan["Actual Loops"] * (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0))
    return rows + sum(rows_read(part) for part in plan.get("Plans", ()))


async def test_primary_keys_serve_events_by_id(large_table: "Connection") -> None:
    ids = [row["id"] for row in await large_table.fetch("SELECT id FROM catalog.events LIMIT 200")]
    for event_ids in (ids, ids[:1]):
        rows = await large_table.fetch(f"EXPLAIN {QUERIES['get_events']}", event_ids)
        plan = "\n".join(row[0] for row in rows)
        assert "Seq Scan" not in plan, plan
        assert "events_pkey" in plan
        assert "ticket_types_event_position_key" in plan
