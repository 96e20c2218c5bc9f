"""Lists and searches: what they find, how they page, and which index serves them."""

import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest
from catalog.adapters.event_pages import page_statement
from catalog.adapters.postgres import QUERIES, PostgresEvents
from catalog.domain.errors import InvalidQuery
from catalog.domain.event import (
    Event,
    EventDetails,
    EventPublished,
    EventStatus,
    EventUpdated,
    TicketType,
)
from catalog.domain.listing import EventFilter, EventListing, EventSort
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


def listing(
    filter_: EventFilter | None = None,
    sort: EventSort = EventSort.STARTS_AT_ASC,
    limit: int = 20,
    cursor: str = "",
) -> EventListing:
    return EventListing(filter_ or EventFilter(), sort, limit, cursor)


async def names_of(events: PostgresEvents, wanted: EventListing) -> list[str]:
    return [event.details.name for event in (await events.page(wanted)).events]


async def publish(events: PostgresEvents, *wanted: Event) -> None:
    for event in wanted:
        await events.save(EventPublished(event))


async def test_an_event_comes_back_as_it_was_saved(events: PostgresEvents) -> None:
    event = make_event("Żywiołak 🎸", location="Kraków", description="line one\nline two")
    await publish(events, event)

    assert await events.get(event.id) == event
    assert (await events.page(listing())).events == (event,)


@pytest.mark.parametrize("sort", TIME_SORTS)
async def test_paging_shows_every_event_once_also_when_times_are_equal(
    events: PostgresEvents, sort: EventSort
) -> None:
    saved = [make_event(f"Event {number}", day=number // 3) for number in range(11)]
    await publish(events, *saved)

    seen: list[Event] = []
    cursor = ""
    for _ in range(6):
        page = await events.page(listing(sort=sort, limit=2, cursor=cursor))
        seen += page.events
        cursor = page.next_cursor
    assert cursor == ""
    descending = sort is not EventSort.STARTS_AT_ASC
    by_day = sorted(saved, key=lambda event: (event.created_at, event.id), reverse=descending)
    assert seen == by_day


async def test_paging_by_relevance_shows_every_match_once(events: PostgresEvents) -> None:
    saved = [make_event(f"Metallica {number % 4}", day=number) for number in range(9)]
    await publish(events, *saved, make_event("Chess"))

    seen: list[UUID] = []
    cursor = ""
    for _ in range(5):
        page = await events.page(
            listing(EventFilter(query="metallica"), EventSort.RELEVANCE, 2, cursor)
        )
        seen += [event.id for event in page.events]
        cursor = page.next_cursor
    assert cursor == ""
    assert sorted(seen) == sorted(event.id for event in saved)


async def test_an_event_that_appears_meanwhile_moves_no_page(events: PostgresEvents) -> None:
    await publish(events, make_event("Second", day=2), make_event("Third", day=3))
    first = await events.page(listing(limit=1))
    await publish(events, make_event("First", day=1))

    second = await events.page(listing(limit=1, cursor=first.next_cursor))
    assert [event.details.name for event in second.events] == ["Third"]


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        encode_cursor("startsAtAsc", "yesterday", str(UUID(int=1))),
        encode_cursor("startsAtAsc", "2030-01-01T00:00:00", str(UUID(int=1))),
        encode_cursor("startsAtAsc", "0001-01-01T00:00:00+14:00", str(UUID(int=1))),
        encode_cursor("startsAtAsc", NOW.isoformat(), "7"),
        encode_cursor("startsAtDesc", NOW.isoformat(), str(UUID(int=1))),
        encode_cursor("relevance", "nan", str(UUID(int=1))),
        encode_cursor("startsAtAsc", NOW.isoformat()),
    ],
)
async def test_a_cursor_that_is_not_of_this_list_is_a_field_error(
    events: PostgresEvents, cursor: str
) -> None:
    with pytest.raises(InvalidQuery) as refused:
        await events.page(listing(cursor=cursor))
    assert [error.field for error in refused.value.fields] == ["cursor"]


async def test_the_range_of_starts_includes_its_beginning_and_not_its_end(
    events: PostgresEvents,
) -> None:
    await publish(events, *(make_event(f"Day {day}", day=day) for day in (1, 2, 3)))
    wanted = EventFilter(starts_from=NOW + timedelta(days=1), starts_before=NOW + timedelta(days=3))
    assert await names_of(events, listing(wanted)) == ["Day 1", "Day 2"]


async def test_wildcards_in_a_location_are_plain_characters(events: PostgresEvents) -> None:
    await publish(
        events,
        make_event("Percent", location="Hall 100% fun"),
        make_event("Other", location="Hall 1000 fun"),
        make_event("Backslash", location="Hall C:\\_"),
    )
    assert await names_of(events, listing(EventFilter(location="100% FUN"))) == ["Percent"]
    assert await names_of(events, listing(EventFilter(location="c:\\_"))) == ["Backslash"]
    assert await names_of(events, listing(EventFilter(location="_"))) == ["Backslash"]
    for wide in ("\uff05", "\uff3f", "\uff3c"):  # folded into %, _ and \\
        assert "Other" not in await names_of(events, listing(EventFilter(location=wide)))


async def test_a_list_keeps_to_its_status_and_organizer(events: PostgresEvents) -> None:
    draft = replace(make_event("Draft"), status=EventStatus.DRAFT, published_at=None)
    foreign = replace(make_event("Foreign"), organizer_id=UUID(int=8))
    await publish(events, foreign, make_event("Own", day=2))
    await events.save(EventUpdated(draft))

    assert await names_of(events, listing()) == ["Foreign", "Own"]
    drafts = EventFilter(status=EventStatus.DRAFT)
    assert await names_of(events, listing(drafts)) == ["Draft"]
    assert await names_of(events, listing(EventFilter(organizer_id=ORGANIZER))) == ["Own"]


@pytest.mark.parametrize(
    "query", ["metallica", "Metalica", "metal", "Metallica -chess", "metalica liv", "wembley"]
)
async def test_a_search_forgives_a_typo(events: PostgresEvents, query: str) -> None:
    await publish(
        events,
        make_event("Metallica Live", location="Wembley Stadium"),
        make_event("Chess Night"),
    )
    wanted = listing(EventFilter(query=query), EventSort.RELEVANCE)
    assert await names_of(events, wanted) == ["Metallica Live"]


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
async def test_accents_do_not_matter_to_a_search(
    events: PostgresEvents, plain: str, accented: str, sort: EventSort
) -> None:
    await publish(
        events,
        make_event(f"{accented} Live"),
        make_event("Gala", location=f"{accented} Arena", day=2),
        make_event("Tour", description=f"songs of {accented}", day=3),
        make_event("Chess", day=4),
    )
    for query in (plain, accented):
        found = await names_of(events, listing(EventFilter(query=query), sort))
        assert found == [f"{accented} Live", "Gala", "Tour"]
        assert await names_of(events, listing(EventFilter(location=query))) == ["Gala"]


async def test_words_of_a_description_are_found_in_any_accents_only_when_whole(
    events: PostgresEvents,
) -> None:
    await publish(events, make_event("Tour", description="crème brûlée"))
    assert await names_of(events, listing(EventFilter(query="brulee creme"))) == ["Tour"]
    assert await names_of(events, listing(EventFilter(query="brul"))) == []


@pytest.mark.parametrize("dash", ["\u2013", "\u2014", "\u2212"])
async def test_a_dash_excludes_nothing(events: PostgresEvents, dash: str) -> None:
    await publish(events, make_event("Tour", description=f"Beyoncé {dash} Renaissance"))
    query = EventFilter(query=f"beyonce {dash} renaissance")
    assert await names_of(events, listing(query)) == ["Tour"]
    assert await names_of(events, listing(EventFilter(query="beyonce -renaissance"))) == []


async def test_a_name_outranks_a_place_and_a_place_outranks_a_description(
    events: PostgresEvents,
) -> None:
    await publish(
        events,
        make_event("Tour", description="songs about paris"),
        make_event("Gala", location="Paris"),
        make_event("Paris"),
    )
    wanted = listing(EventFilter(query="paris"), EventSort.RELEVANCE)
    assert await names_of(events, wanted) == ["Paris", "Gala", "Tour"]


@pytest.mark.parametrize("query", ["!!!", "''", "a & | !", "<->", "%", "\\", '"open', "- -", "🎸"])
async def test_no_query_text_breaks_a_search(events: PostgresEvents, query: str) -> None:
    await publish(events, make_event("Metallica"))
    assert await names_of(events, listing(EventFilter(query=query), EventSort.RELEVANCE)) == []


@pytest.fixture
async def crowded(pool: asyncpg.Pool) -> AsyncIterator["Connection"]:
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
                random_.choices(["published", "cancelled", "draft"], [90, 5, 5])[0],
                1,
                NOW + timedelta(seconds=number),
                NOW,
                NOW,
            )
        )
    columns = (
        "id organizer_id name description location currency timezone starts_at ends_at"
        " status version created_at updated_at published_at"
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
    """Explain a statement as it is planned for these values, and as planned for any."""
    explained = await connection.fetch(f"EXPLAIN {sql}", *values)
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE wanted AS {sql}")
    nothing = ", ".join(["NULL"] * len(values))
    generic = await connection.fetch(f"EXPLAIN EXECUTE wanted ({nothing})")
    await connection.execute("DEALLOCATE wanted")
    await connection.execute("RESET plan_cache_mode")
    return ["\n".join(row[0] for row in rows) for rows in (explained, generic)]


async def test_every_list_and_search_is_served_by_its_index(
    crowded: "Connection",
) -> None:
    cursor_time = (NOW + timedelta(minutes=250_000)).isoformat()
    soon = EventFilter(starts_from=NOW, starts_before=NOW + timedelta(days=3))
    cases: list[tuple[EventListing, set[str]]] = []
    for sort in TIME_SORTS:
        cursor = encode_cursor(sort, cursor_time, str(UUID(int=1)))
        index = TIME_INDEXES[sort]
        cases += [
            (listing(sort=sort), {index}),
            (listing(sort=sort, cursor=cursor), {index}),
            (listing(EventFilter(organizer_id=UUID(int=3)), sort), {"events_organizer_idx"}),
            (listing(EventFilter(location="banban"), sort), {"events_location_trigram_idx"}),
        ]
    cases += [
        (listing(soon), {"events_status_starts_at_idx"}),
        (listing(soon, EventSort.STARTS_AT_DESC), {"events_status_starts_at_idx"}),
    ]
    text_indexes = {
        "events_document_idx",
        "events_name_trigram_idx",
        "events_location_trigram_idx",
    }
    cases += [
        (listing(EventFilter(query="banana split"), sort), text_indexes) for sort in EventSort
    ]
    for wanted, indexes in cases:
        sql, values = page_statement(QUERIES["page_of_events"], wanted)
        for plan in await plans_of(crowded, sql, list(values)):
            assert "Seq Scan" not in plan, f"{wanted}\n{plan}"
            missing = [index for index in indexes if index not in plan]
            assert not missing, f"{wanted}\n{plan}"


async def test_two_letters_of_a_place_are_looked_for_in_the_order_of_the_list(
    crowded: "Connection",
) -> None:
    for sort in TIME_SORTS:
        common = listing(EventFilter(location="an"), sort)
        sql, values = page_statement(QUERIES["page_of_events"], common)
        for_this_place, for_any = await plans_of(crowded, sql, list(values))
        # Two letters have no trigram, but soon enough of them turn up.
        assert TIME_INDEXES[sort] in for_this_place
        assert "Seq Scan" not in for_any


async def test_events_by_id_are_served_by_the_primary_keys(crowded: "Connection") -> None:
    ids = [row["id"] for row in await crowded.fetch("SELECT id FROM catalog.events LIMIT 200")]
    for wanted in (ids, ids[:1]):
        for plan in await plans_of(crowded, QUERIES["get_events"], [wanted]):
            assert "Seq Scan" not in plan, plan
            assert "events_pkey" in plan
            assert "ticket_types_event_position_key" in plan
