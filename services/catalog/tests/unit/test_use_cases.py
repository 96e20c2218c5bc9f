"""The use cases over small fakes: order of steps, retries and visibility."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from catalog.application.batch_get_events import batch_get_events
from catalog.application.cancel_event import cancel_event
from catalog.application.change_event import ChangeEventCommand
from catalog.application.create_event import create_event
from catalog.application.get_event import get_event
from catalog.application.list_events import list_events
from catalog.application.ports import EventPage
from catalog.application.update_event import update_event
from catalog.domain.create_event import CreateEventCommand
from catalog.domain.errors import (
    BookingUnavailable,
    CapacityBelowTaken,
    EventBusy,
    EventNotFound,
    InvalidEvent,
    InvalidQuery,
    StaleVersion,
)
from catalog.domain.event import Event, EventChange, EventStatus
from catalog.domain.list_events import (
    EventFilter,
    EventPageRequest,
    EventSort,
    select_by_end,
    validate_page_request,
)
from catalog.domain.update_event import EventPatch
from catalog.entrypoints.grpc import CONFLICT_RETRY, retry_conflicts
from goticket_kernel.actor import ANONYMOUS, Actor
from goticket_kernel.errors import DomainError

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
UNKNOWN_ID = UUID("7c9e6679-7425-40de-944b-e07fc1f90ae7")
ORGANIZER = Actor(UUID(int=7), frozenset({"organizer"}))
ADMIN = Actor(UUID(int=1), frozenset({"admin"}))
VALID = CreateEventCommand(
    name="Metallica Live",
    starts_at=NOW + timedelta(days=1),
    ends_at=NOW + timedelta(days=2),
    price=25000,
    capacity=1000,
)

ATTEMPTS = CONFLICT_RETRY.max_attempts or 0


class InMemoryEventRepository:
    """Keeps events in a dict; other changes come before the next `concurrent_changes` saves."""

    def __init__(self, steps: list[str]) -> None:
        self.stored: dict[UUID, Event] = {}
        self.changes: list[EventChange] = []
        self.page_requests: list[EventPageRequest] = []
        self.concurrent_changes = 0
        self.steps = steps

    async def get(self, event_id: UUID) -> Event | None:
        return self.stored.get(event_id)

    async def get_many(self, event_ids: Sequence[UUID]) -> list[Event]:
        return [self.stored[event_id] for event_id in event_ids if event_id in self.stored]

    async def get_page(self, request: EventPageRequest) -> EventPage:
        self.page_requests.append(request)
        return EventPage(tuple(self.stored.values()))

    async def save(self, change: EventChange) -> None:
        self.steps.append("save")
        stored = self.stored.get(change.event.id)
        if stored is not None and self.concurrent_changes > 0:
            self.concurrent_changes -= 1
            self.stored[stored.id] = replace(stored, version=stored.version + 1)
            raise StaleVersion
        self.changes.append(change)
        self.stored[change.event.id] = change.event


class FakeInventory:
    """Records the calls, and raises `error` if it is set."""

    def __init__(self, steps: list[str]) -> None:
        self.steps = steps
        self.error: DomainError | None = None

    async def shrink(self, event_id: UUID, capacities: Mapping[UUID, int]) -> None:
        self.steps.append(f"shrink to {list(capacities.values())}")
        if self.error is not None:
            raise self.error


class Catalog:
    """The use cases over fakes."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.events = InMemoryEventRepository(self.steps)
        self.inventory = FakeInventory(self.steps)

    def clock(self) -> datetime:
        return NOW

    async def create(self, status: EventStatus = EventStatus.PUBLISHED) -> Event:
        event = await create_event(
            replace(VALID, status=status),
            ORGANIZER,
            events=self.events,
            clock=self.clock,
            new_id=uuid4,
        )
        self.steps.clear()
        return event

    async def update(self, event: Event, patch: EventPatch, version: int | None = None) -> Event:
        command = ChangeEventCommand(event.id, ORGANIZER, version)
        return await retry_conflicts(
            command,
            lambda: update_event(
                command,
                patch,
                events=self.events,
                inventory=self.inventory,
                clock=self.clock,
                new_id=uuid4,
            ),
        )


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


async def test_the_inventory_shrinks_before_the_event_is_saved(catalog: Catalog) -> None:
    event = await catalog.create()
    await catalog.update(event, EventPatch(capacity=10))
    assert catalog.steps == ["shrink to [10]", "save"]


@pytest.mark.parametrize("error", [CapacityBelowTaken(), BookingUnavailable()])
async def test_nothing_is_saved_when_the_inventory_cannot_shrink(
    catalog: Catalog, error: DomainError
) -> None:
    event = await catalog.create()
    catalog.inventory.error = error
    with pytest.raises(type(error)):
        await catalog.update(event, EventPatch(capacity=10))
    assert catalog.steps == ["shrink to [10]"]
    assert catalog.events.stored[event.id] == event


async def test_larger_capacities_and_drafts_do_not_need_booking(catalog: Catalog) -> None:
    event = await catalog.create()
    draft = await catalog.create(EventStatus.DRAFT)
    await catalog.update(event, EventPatch(capacity=2000))
    await catalog.update(draft, EventPatch(capacity=10))
    assert catalog.steps == ["save", "save"]


async def test_a_patch_that_changes_nothing_is_not_saved(catalog: Catalog) -> None:
    event = await catalog.create()
    assert await catalog.update(event, EventPatch(name=event.details.name)) == event
    assert catalog.steps == []


async def test_a_change_without_expected_version_is_retried_after_a_concurrent_change(
    catalog: Catalog,
) -> None:
    event = await catalog.create()
    catalog.events.concurrent_changes = ATTEMPTS - 1
    after = await catalog.update(event, EventPatch(name="New name"))
    assert (after.details.name, after.version) == ("New name", ATTEMPTS + 1)


async def test_a_change_fails_after_too_many_concurrent_changes(catalog: Catalog) -> None:
    event = await catalog.create()
    catalog.events.concurrent_changes = ATTEMPTS
    with pytest.raises(EventBusy):
        await catalog.update(event, EventPatch(name="New name"))


async def test_a_change_with_an_expected_version_is_not_retried(catalog: Catalog) -> None:
    event = await catalog.create()
    catalog.events.concurrent_changes = 1
    with pytest.raises(StaleVersion):
        await catalog.update(event, EventPatch(name="New name"), version=1)
    assert catalog.steps == ["save"]


async def test_an_invalid_event_is_not_saved(catalog: Catalog) -> None:
    with pytest.raises(InvalidEvent):
        await create_event(
            replace(VALID, name=""),
            ORGANIZER,
            events=catalog.events,
            clock=catalog.clock,
            new_id=uuid4,
        )
    assert catalog.steps == []


async def test_publishing_and_cancelling_twice_saves_once(catalog: Catalog) -> None:
    draft = await catalog.create(EventStatus.DRAFT)
    command = ChangeEventCommand(draft.id, ORGANIZER)
    for _ in range(2):
        published = await catalog.update(draft, EventPatch(status=EventStatus.PUBLISHED))
        assert published.status is EventStatus.PUBLISHED
    for _ in range(2):
        await cancel_event(
            command, events=catalog.events, inventory=catalog.inventory, clock=catalog.clock
        )
    assert catalog.steps == ["save", "save"]
    assert catalog.events.stored[draft.id].status is EventStatus.CANCELLED


async def test_an_unknown_event_is_not_found(catalog: Catalog) -> None:
    with pytest.raises(EventNotFound):
        await get_event(UNKNOWN_ID, ADMIN, include_drafts=True, events=catalog.events)


async def test_services_read_drafts_and_the_public_does_not(catalog: Catalog) -> None:
    draft = await catalog.create(EventStatus.DRAFT)
    found = await get_event(draft.id, ANONYMOUS, include_drafts=True, events=catalog.events)
    assert found == draft
    with pytest.raises(EventNotFound):
        await get_event(draft.id, ANONYMOUS, include_drafts=False, events=catalog.events)


async def test_a_batch_leaves_out_unknown_ids_and_is_limited(catalog: Catalog) -> None:
    event = await catalog.create()
    ids = [event.id, event.id, UNKNOWN_ID]
    assert await batch_get_events(ids, public_only=True, events=catalog.events) == [event]
    assert await batch_get_events([], public_only=True, events=catalog.events) == []
    with pytest.raises(InvalidQuery):
        await batch_get_events([event.id] * 201, public_only=True, events=catalog.events)


async def test_a_public_batch_leaves_out_drafts_and_cancelled_drafts(catalog: Catalog) -> None:
    draft = await catalog.create(EventStatus.DRAFT)
    cancelled = await catalog.create(EventStatus.DRAFT)
    await cancel_event(
        ChangeEventCommand(cancelled.id, ORGANIZER),
        events=catalog.events,
        inventory=catalog.inventory,
        clock=catalog.clock,
    )
    ids = [draft.id, cancelled.id]
    assert await batch_get_events(ids, public_only=True, events=catalog.events) == []
    assert len(await batch_get_events(ids, public_only=False, events=catalog.events)) == 2


async def test_a_list_of_drafts_is_restricted_to_the_actors_own(catalog: Catalog) -> None:
    drafts = validate_page_request(EventFilter(status=EventStatus.DRAFT), None, 20, "")
    foreign = replace(drafts, filter=replace(drafts.filter, organizer_id=UUID(int=8)))

    assert await list_events(drafts, ANONYMOUS, events=catalog.events) == EventPage(())
    assert await list_events(foreign, ORGANIZER, events=catalog.events) == EventPage(())
    await list_events(drafts, ORGANIZER, events=catalog.events)
    await list_events(foreign, ADMIN, events=catalog.events)
    organizers = [request.filter.organizer_id for request in catalog.events.page_requests]
    assert organizers == [ORGANIZER.user_id, UUID(int=8)]


async def test_a_list_of_cancelled_events_leaves_out_cancelled_drafts(
    catalog: Catalog,
) -> None:
    cancelled = validate_page_request(EventFilter(status=EventStatus.CANCELLED), None, 20, "")
    own = replace(cancelled, filter=replace(cancelled.filter, organizer_id=ORGANIZER.user_id))
    for request, actor in [
        (cancelled, ANONYMOUS),
        (own, ANONYMOUS),
        (own, ORGANIZER),
        (cancelled, ADMIN),
    ]:
        await list_events(request, actor, events=catalog.events)
    restricted = [request.filter.once_published for request in catalog.events.page_requests]
    assert restricted == [True, True, False, False]


@pytest.mark.parametrize("query", ["", " ", "\u200b", "x", "\u5468\u6770"])
def test_a_list_without_a_query_or_with_a_short_one_is_sorted_by_time(query: str) -> None:
    filter_ = EventFilter(query=query)
    assert validate_page_request(filter_, None, 20, "").sort is EventSort.STARTS_AT_ASC
    ended = replace(filter_, ended_at=NOW)
    assert validate_page_request(ended, None, 20, "").sort is EventSort.STARTS_AT_DESC


def test_a_list_with_a_query_is_sorted_by_relevance_unless_another_order_is_named() -> None:
    filter_ = EventFilter(query=" xyz ")
    assert validate_page_request(filter_, None, 20, "").sort is EventSort.RELEVANCE
    chosen = validate_page_request(filter_, EventSort.CREATED_AT_DESC, 20, "")
    assert chosen.sort is EventSort.CREATED_AT_DESC
    with pytest.raises(InvalidQuery):
        validate_page_request(EventFilter(), EventSort.RELEVANCE, 20, "")


def test_a_list_of_published_events_leaves_out_ended_ones_unless_it_names_a_time() -> None:
    published = EventFilter()
    named = EventFilter(starts_from=NOW)
    assert select_by_end(published, ended=False, now=NOW).ends_after == NOW
    assert select_by_end(named, ended=False, now=NOW) == named
    assert select_by_end(published, ended=True, now=NOW).ended_at == NOW
    assert select_by_end(named, ended=True, now=NOW).ended_at == NOW
    for status in (EventStatus.DRAFT, EventStatus.CANCELLED):
        other = EventFilter(status=status)
        assert select_by_end(other, ended=False, now=NOW) == other
        with pytest.raises(InvalidQuery):
            select_by_end(other, ended=True, now=NOW)


@pytest.mark.parametrize("limit", [-1, 0, 101])
def test_a_page_has_1_to_100_events(limit: int) -> None:
    with pytest.raises(InvalidQuery) as error:
        validate_page_request(EventFilter(), None, limit, "")
    assert [invalid.field for invalid in error.value.fields] == ["limit"]
