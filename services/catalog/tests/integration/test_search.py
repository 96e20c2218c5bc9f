"""Lists and searches: their results and pages."""

# ruff: noqa: RUF001 - texts of many scripts

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from catalog.adapters.event_repository import PostgresEventRepository
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

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
ORGANIZER = UUID(int=7)

TIME_SORTS = [EventSort.STARTS_AT_ASC, EventSort.STARTS_AT_DESC, EventSort.CREATED_AT_DESC]


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


UPCOMING = EventFilter(ends_after=NOW)
ENDED = EventFilter(ended_at=NOW)


async def publish_around_now(events: PostgresEventRepository) -> None:
    """Publish an event that ended, two that run (one began long ago), and two that come."""
    long = make_event("Long exhibition", day=-300)
    long = replace(long, details=replace(long.details, ends_at=NOW + timedelta(microseconds=1)))
    just_ended = make_event("Just ended")
    just_ended = replace(
        just_ended,
        details=replace(just_ended.details, starts_at=NOW - timedelta(hours=1), ends_at=NOW),
    )
    await publish(
        events,
        make_event("Next week", day=7),
        make_event("Last week", day=-7),
        make_event("Begins now", day=0),
        just_ended,
        make_event("Tomorrow", day=1),
        long,
    )


async def test_events_that_have_ended_are_left_out_or_listed_alone(
    events: PostgresEventRepository,
) -> None:
    await publish_around_now(events)
    upcoming = ["Long exhibition", "Begins now", "Tomorrow", "Next week"]
    assert await names_of(events, page_request(UPCOMING)) == upcoming
    latest_first = page_request(UPCOMING, EventSort.STARTS_AT_DESC)
    assert await names_of(events, latest_first) == upcoming[::-1]
    for sort in EventSort:
        query = "week" if sort is EventSort.RELEVANCE else ""
        found = await names_of(events, page_request(replace(ENDED, query=query), sort))
        assert "Last week" in found
        assert not set(found) & set(upcoming)
        found = await names_of(events, page_request(replace(UPCOMING, query=query), sort))
        assert "Next week" in found
        assert not set(found) & {"Last week", "Just ended"}
    ended = page_request(ENDED, EventSort.STARTS_AT_DESC)
    assert await names_of(events, ended) == ["Just ended", "Last week"]
    own = replace(UPCOMING, organizer_id=ORGANIZER)
    assert await names_of(events, page_request(own)) == upcoming


@pytest.mark.parametrize("sort", TIME_SORTS)
async def test_pages_miss_and_repeat_nothing_while_events_start_and_end(
    events: PostgresEventRepository, sort: EventSort
) -> None:
    saved = [make_event(f"Event {number:02}", day=number // 3) for number in range(20)]
    await publish(events, *saved)
    clock = NOW
    seen: list[Event] = []
    cursor = ""
    while True:
        filter_ = EventFilter(ends_after=clock)
        page = await events.get_page(page_request(filter_, sort, 3, cursor))
        seen += page.events
        cursor = page.next_cursor
        if not cursor:
            break
        clock += timedelta(hours=17)
    assert len({event.id for event in seen}) == len(seen)
    listed = {event.id for event in seen}
    assert {event.id for event in saved if event.details.ends_at > clock} <= listed


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


PARTS = [
    ("2027周杰伦演唱会", ["2027周杰伦演唱会", "周杰伦", "周杰", "杰", "7周", "会", "2027"]),
    ("嵐 ARASHI コンサート", ["コンサート", "ンサ", "嵐", "arashiコン"[:6], "ﾝｻ"]),
    ("방탄소년단 콘서트", ["방탄", "탄소", "콘"]),
    ("คอนเสิร์ตใหญ่", ["คอน", "เสิร์ต", "ญ่"]),
    ("حفلة فيروز", ["فيروز", "يرو", "ح"]),
    ("कार्यक्रम", ["कार्य", "क्र"]),
    ("Łódź Überraschung", ["lodz", "uberraschung", "RRASCH", "ódź", "ü", "ł"]),
    ("ΣΊΣΥΦΟΣ", ["σίσυφος", "σισυφοσ", "ισυ"]),
    ("Großer Preis", ["GROSSER", "ROẞ"[:3]]),
    ("Wow!!!", ["!!!", "!!", "!", "w!"]),
    ("100% _new_ C:\\dir", ["100%", "%", "_", "_new_", "\\", ":\\d"]),
    ("🎸 Night", ["🎸", "🎸 n"]),
    ("ＷＩＤＥ", ["wide", "ＩＤ"]),
]


@pytest.mark.parametrize("sort", [EventSort.RELEVANCE, EventSort.STARTS_AT_ASC])
@pytest.mark.parametrize(("text", "parts"), PARTS, ids=[text for text, _ in PARTS])
async def test_any_part_of_a_name_or_a_location_is_found(
    events: PostgresEventRepository, text: str, parts: list[str], sort: EventSort
) -> None:
    await publish(events, make_event(f"Live {text}"), make_event("Gala", location=f"At {text}"))
    await publish(events, make_event("Jazz", location="Xyz", day=2))
    for part in parts:
        found = await names_of(events, page_request(EventFilter(query=part), sort))
        assert sorted(found) == ["Gala", f"Live {text}"], part
        assert await names_of(events, page_request(EventFilter(location=part))) == ["Gala"], part


async def test_a_name_with_the_searched_part_ranks_first(events: PostgresEventRepository) -> None:
    await publish(
        events,
        make_event("Gala", description="嘉宾 周杰伦 演出"),
        make_event("Concert", location="周杰伦纪念馆"),
        make_event("2027周杰伦演唱会"),
    )
    request = page_request(EventFilter(query="周杰伦"), EventSort.RELEVANCE)
    assert await names_of(events, request) == ["2027周杰伦演唱会", "Concert", "Gala"]


@pytest.mark.parametrize("query", ["周杰伦", "杰", "周杰伦 上海", '"周杰伦"', "周杰伦 -北京"])
async def test_a_description_without_spaces_is_searched_by_its_characters(
    events: PostgresEventRepository, query: str
) -> None:
    await publish(
        events,
        make_event("One", description="特邀嘉宾周杰伦将在上海演唱。"),
        make_event("Other", description="周五，北京，杰出的伦敦乐队。"),
    )
    found = await names_of(events, page_request(EventFilter(query=query)))
    assert found[:1] == ["One"]
    assert ("Other" in found) == (query == "杰")


@pytest.mark.parametrize("query", ["\u0640", "\u00ad", "\u0300"])
async def test_a_text_of_which_folding_leaves_nothing_matches_nothing(
    events: PostgresEventRepository, query: str
) -> None:
    await publish(events, make_event("Metallica", location="Wembley"))
    for filter_ in (EventFilter(query=query), EventFilter(location=query)):
        assert await names_of(events, page_request(filter_)) == []


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
