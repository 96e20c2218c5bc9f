"""Lists and searches: results, pages and the indexes that serve them."""

import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest
from catalog.adapters.event_page_statement import build_page_statement
from catalog.adapters.event_repository import QUERIES, PostgresEventRepository
from catalog.domain.errors import InvalidQuery
from catalog.domain.event import (
    Event,
    EventDetails,
    EventPublished,
    EventStatus,
    EventUpdated,
    TicketType,
)
from catalog.domain.list_events import EventFilter, EventPageRequest, EventSort
from goticket_platform.cursors import encode_cursor
from goticket_platform.ids import new_id

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
ORGANIZER = UUID(int=7)
ROWS = 20_000

TIME_SORTS = [EventSort.STARTS_AT_ASC, EventSort.STARTS_AT_DESC, EventSort.CREATED_AT_DESC]
TIME_INDEXES = {
    EventSort.STARTS_AT_ASC: "events_status_starts_at_idx",
    EventSort.STARTS_AT_DESC: "events_status_starts_at_idx",
    EventSort.CREATED_AT_DESC: "events_status_created_at_idx",
}


def make_event(name: str, *, day: int = 1, location: str = "", description: str = "") -> Event:
    starts_at = NOW + timedelta(days=day)
    return Event(
        id=new_id(),
        organizer_id=ORGANIZER,
        details=EventDetails(
            name=name,
            description=description,
            location=location,
            currency="EUR",
            timezone="Europe/Warsaw",
            starts_at=starts_at,
            ends_at=starts_at + timedelta(hours=3),
        ),
        ticket_types=(
            TicketType(new_id(), "Standing", 5000, 100, 10),
            TicketType(new_id(), "Seated", 9000, 50, 4),
        ),
        status=EventStatus.PUBLISHED,
        version=1,
        created_at=NOW + timedelta(minutes=day),
        updated_at=NOW,
        published_at=NOW,
    )


def page_request(
    filter_: EventFilter | None = None,
    sort: EventSort = EventSort.STARTS_AT_ASC,
    limit: int = 20,
    cursor: str = "",
) -> EventPageRequest:
    return EventPageRequest(filter_ or EventFilter(), sort, limit, cursor)


async def names_of(events: PostgresEventRepository, request: EventPageRequest) -> list[str]:
    return [event.details.name for event in (await events.get_page(request)).events]


async def publish(repository: PostgresEventRepository, *events: Event) -> None:
    for event in events:
        await repository.save(EventPublished(event))


async def test_a_saved_event_is_read_unchanged(events: PostgresEventRepository) -> None:
    event = make_event("Żywiołak 🎸", location="Kraków", description="line one\nline two")
    await publish(events, event)

    assert await events.get(event.id) == event
    assert (await events.get_page(page_request())).events == (event,)


@pytest.mark.parametrize("sort", TIME_SORTS)
async def test_pages_contain_every_event_once_also_with_equal_times(
    events: PostgresEventRepository, sort: EventSort
) -> None:
    saved = [make_event(f"Event {number}", day=number // 3) for number in range(11)]
    await publish(events, *saved)

    seen: list[Event] = []
    cursor = ""
    for _ in range(6):
        page = await events.get_page(page_request(sort=sort, limit=2, cursor=cursor))
        seen += page.events
        cursor = page.next_cursor
    assert cursor == ""
    descending = sort is not EventSort.STARTS_AT_ASC
    by_day = sorted(saved, key=lambda event: (event.created_at, event.id), reverse=descending)
    assert seen == by_day


async def test_pages_by_relevance_contain_every_match_once(events: PostgresEventRepository) -> None:
    saved = [make_event(f"Metallica {number % 4}", day=number) for number in range(9)]
    await publish(events, *saved, make_event("Chess"))

    seen: list[UUID] = []
    cursor = ""
    for _ in range(5):
        page = await events.get_page(
            page_request(EventFilter(query="metallica"), EventSort.RELEVANCE, 2, cursor)
        )
        seen += [event.id for event in page.events]
        cursor = page.next_cursor
    assert cursor == ""
    assert sorted(seen) == sorted(event.id for event in saved)


async def test_a_new_event_does_not_move_later_pages(events: PostgresEventRepository) -> None:
    await publish(events, make_event("Second", day=2), make_event("Third", day=3))
    first = await events.get_page(page_request(limit=1))
    await publish(events, make_event("First", day=1))

    second = await events.get_page(page_request(limit=1, cursor=first.next_cursor))
    assert [event.details.name for event in second.events] == ["Third"]


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        encode_cursor("starts_at_asc", "yesterday", str(UUID(int=1))),
        encode_cursor("starts_at_asc", "2030-01-01T00:00:00", str(UUID(int=1))),
        encode_cursor("starts_at_asc", "0001-01-01T00:00:00+14:00", str(UUID(int=1))),
        encode_cursor("starts_at_asc", NOW.isoformat(), "7"),
        encode_cursor("starts_at_desc", NOW.isoformat(), str(UUID(int=1))),
        encode_cursor("relevance", "nan", str(UUID(int=1))),
        encode_cursor("starts_at_asc", NOW.isoformat()),
    ],
)
async def test_a_cursor_of_another_list_is_a_field_error(
    events: PostgresEventRepository, cursor: str
) -> None:
    with pytest.raises(InvalidQuery) as error:
        await events.get_page(page_request(cursor=cursor))
    assert [invalid.field for invalid in error.value.fields] == ["cursor"]


async def test_the_range_of_start_times_includes_its_beginning_and_excludes_its_end(
    events: PostgresEventRepository,
) -> None:
    await publish(events, *(make_event(f"Day {day}", day=day) for day in (1, 2, 3)))
    filter_ = EventFilter(
        starts_from=NOW + timedelta(days=1), starts_before=NOW + timedelta(days=3)
    )
    assert await names_of(events, page_request(filter_)) == ["Day 1", "Day 2"]


async def test_wildcards_in_a_location_are_matched_literally(
    events: PostgresEventRepository,
) -> None:
    await publish(
        events,
        make_event("Percent", location="Hall 100% fun"),
        make_event("Other", location="Hall 1000 fun"),
        make_event("Backslash", location="Hall C:\\_"),
    )
    assert await names_of(events, page_request(EventFilter(location="100% FUN"))) == ["Percent"]
    assert await names_of(events, page_request(EventFilter(location="c:\\_"))) == ["Backslash"]
    assert await names_of(events, page_request(EventFilter(location="_"))) == ["Backslash"]
    for wide in ("\uff05", "\uff3f", "\uff3c"):  # folded into %, _ and \\
        assert "Other" not in await names_of(events, page_request(EventFilter(location=wide)))


async def test_a_list_is_filtered_by_status_and_organizer(events: PostgresEventRepository) -> None:
    draft = replace(make_event("Draft"), status=EventStatus.DRAFT, published_at=None)
    other = replace(make_event("Other organizer"), organizer_id=UUID(int=8))
    await publish(events, other, make_event("Own", day=2))
    await events.save(EventUpdated(draft))

    assert await names_of(events, page_request()) == ["Other organizer", "Own"]
    drafts = EventFilter(status=EventStatus.DRAFT)
    assert await names_of(events, page_request(drafts)) == ["Draft"]
    assert await names_of(events, page_request(EventFilter(organizer_id=ORGANIZER))) == ["Own"]


@pytest.mark.parametrize(
    "query", ["metallica", "Metalica", "metal", "Metallica -chess", "metalica liv", "wembley"]
)
async def test_a_search_tolerates_typing_errors(
    events: PostgresEventRepository, query: str
) -> None:
    await publish(
        events,
        make_event("Metallica Live", location="Wembley Stadium"),
        make_event("Chess Night"),
    )
    request = page_request(EventFilter(query=query), EventSort.RELEVANCE)
    assert await names_of(events, request) == ["Metallica Live"]


PLAIN_AND_ACCENTED = [
    ("Beyonce", "Beyoncé"),
    ("beyonce", "Beyonce\u0301"),  # the accent as a character of its own
    ("ZYWIOLAK", "Żywiołak"),
    ("strasse", "Straße"),
    ("oresund", "Øresund"),
    ("елка", "Ёлка"),
    ("ελλαδα", "Ελλάδα"),
]


@pytest.mark.parametrize("sort", [EventSort.RELEVANCE, EventSort.STARTS_AT_ASC])
@pytest.mark.parametrize(("plain", "accented"), PLAIN_AND_ACCENTED)
async def test_a_search_ignores_accents(
    events: PostgresEventRepository, plain: str, accented: str, sort: EventSort
) -> None:
    await publish(
        events,
        make_event(f"{accented} Live"),
        make_event("Gala", location=f"{accented} Arena", day=2),
        make_event("Tour", description=f"songs of {accented}", day=3),
        make_event("Chess", day=4),
    )
    for query in (plain, accented):
        found = await names_of(events, page_request(EventFilter(query=query), sort))
        assert found == [f"{accented} Live", "Gala", "Tour"]
        assert await names_of(events, page_request(EventFilter(location=query))) == ["Gala"]


async def test_only_whole_words_of_a_description_are_found(
    events: PostgresEventRepository,
) -> None:
    await publish(events, make_event("Tour", description="crème brûlée"))
    assert await names_of(events, page_request(EventFilter(query="brulee creme"))) == ["Tour"]
    assert await names_of(events, page_request(EventFilter(query="brul"))) == []


@pytest.mark.parametrize("dash", ["\u2013", "\u2014", "\u2212"])
async def test_a_dash_is_not_an_exclusion(events: PostgresEventRepository, dash: str) -> None:
    await publish(events, make_event("Tour", description=f"Beyoncé {dash} Renaissance"))
    query = EventFilter(query=f"beyonce {dash} renaissance")
    assert await names_of(events, page_request(query)) == ["Tour"]
    assert await names_of(events, page_request(EventFilter(query="beyonce -renaissance"))) == []


async def test_a_name_ranks_above_a_location_and_a_location_above_a_description(
    events: PostgresEventRepository,
) -> None:
    await publish(
        events,
        make_event("Tour", description="songs about paris"),
        make_event("Gala", location="Paris"),
        make_event("Paris"),
    )
    request = page_request(EventFilter(query="paris"), EventSort.RELEVANCE)
    assert await names_of(events, request) == ["Paris", "Gala", "Tour"]


@pytest.mark.parametrize("query", ["!!!", "''", "a & | !", "<->", "%", "\\", '"open', "- -", "🎸"])
async def test_a_search_accepts_any_text(events: PostgresEventRepository, query: str) -> None:
    await publish(events, make_event("Metallica"))
    assert await names_of(events, page_request(EventFilter(query=query), EventSort.RELEVANCE)) == []


@pytest.fixture
async def large_table(pool: asyncpg.Pool) -> AsyncIterator["Connection"]:
    """A table of ROWS events with fresh statistics."""
    random_ = random.Random(7)
    words = [f"{a}{b}{c}" for a, b, c in itertools.product("bdfklmnrst", "aeiou", "ndlrst")]
    rows = []
    for number in range(ROWS):
        name, location, description = (
            " ".join(random_.choices(words, k=count)) for count in (3, 2, 12)
        )
        starts_at = NOW + timedelta(minutes=random_.randrange(500_000))
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
        " local_starts_at local_ends_at time_zone_data status version created_at"
        " updated_at published_at"
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


async def plans_of(connection: "Connection", sql: str, values: list[object]) -> list[str]:
    """Return the plan for these values, and the generic plan."""
    explained = await connection.fetch(f"EXPLAIN {sql}", *values)
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE list_events AS {sql}")
    nulls = ", ".join(["NULL"] * len(values))
    generic = await connection.fetch(f"EXPLAIN EXECUTE list_events ({nulls})")
    await connection.execute("DEALLOCATE list_events")
    await connection.execute("RESET plan_cache_mode")
    return ["\n".join(row[0] for row in rows) for rows in (explained, generic)]


async def test_an_index_serves_every_list_and_search(
    large_table: "Connection",
) -> None:
    cursor_time = (NOW + timedelta(minutes=250_000)).isoformat()
    soon = EventFilter(starts_from=NOW, starts_before=NOW + timedelta(days=3))
    cases: list[tuple[EventPageRequest, set[str]]] = []
    for sort in TIME_SORTS:
        cursor = encode_cursor(sort, cursor_time, str(UUID(int=1)))
        index = TIME_INDEXES[sort]
        cases += [
            (page_request(sort=sort), {index}),
            (page_request(sort=sort, cursor=cursor), {index}),
            (page_request(EventFilter(organizer_id=UUID(int=3)), sort), {"events_organizer_idx"}),
            (page_request(EventFilter(location="banban"), sort), {"events_location_trigram_idx"}),
        ]
    cases += [
        (page_request(soon), {"events_status_starts_at_idx"}),
        (page_request(soon, EventSort.STARTS_AT_DESC), {"events_status_starts_at_idx"}),
    ]
    text_indexes = {
        "events_document_idx",
        "events_name_trigram_idx",
        "events_location_trigram_idx",
    }
    cases += [
        (page_request(EventFilter(query="banana split"), sort), text_indexes) for sort in EventSort
    ]
    for request, indexes in cases:
        sql, values = build_page_statement(QUERIES["list_events"], request)
        for plan in await plans_of(large_table, sql, list(values)):
            assert "Seq Scan" not in plan, f"{request}\n{plan}"
            missing = [index for index in indexes if index not in plan]
            assert not missing, f"{request}\n{plan}"


async def test_a_location_of_two_letters_is_filtered_in_index_order(
    large_table: "Connection",
) -> None:
    for sort in TIME_SORTS:
        common = page_request(EventFilter(location="an"), sort)
        sql, values = build_page_statement(QUERIES["list_events"], common)
        specific_plan, generic_plan = await plans_of(large_table, sql, list(values))
        # Two letters have no trigram, but many rows match, so a page is complete early.
        assert TIME_INDEXES[sort] in specific_plan
        assert "Seq Scan" not in generic_plan


async def test_primary_keys_serve_events_by_id(large_table: "Connection") -> None:
    ids = [row["id"] for row in await large_table.fetch("SELECT id FROM catalog.events LIMIT 200")]
    for event_ids in (ids, ids[:1]):
        for plan in await plans_of(large_table, QUERIES["get_events"], [event_ids]):
            assert "Seq Scan" not in plan, plan
            assert "events_pkey" in plan
            assert "ticket_types_event_position_key" in plan
