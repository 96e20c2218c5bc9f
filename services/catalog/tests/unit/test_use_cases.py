"""The use cases over small fakes: order of steps, retries, and who sees what."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from catalog.application.batch_get_events import batch_get_events
from catalog.application.cancel_event import cancel_event
from catalog.application.change_event import ATTEMPTS, ChangeRequest
from catalog.application.create_event import create_event
from catalog.application.get_event import get_event
from catalog.application.list_events import list_events
from catalog.application.ports import EventPage
from catalog.application.publish_event import publish_event
from catalog.application.update_event import update_event
from catalog.domain.actor import Actor
from catalog.domain.create_event import NewEvent
from catalog.domain.errors import (
    BookingUnavailable,
    CapacityBelowTaken,
    DomainError,
    EventBusy,
    EventNotFound,
    InvalidEvent,
    InvalidQuery,
    StaleVersion,
)
from catalog.domain.event import Event, EventChange, EventStatus
from catalog.domain.listing import EventFilter, EventListing, EventSort, checked_listing
from catalog.domain.update_event import EventEdit

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
NO_EVENTS_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
ORGANIZER = Actor(UUID(int=7), frozenset({"organizer"}))
ADMIN = Actor(UUID(int=1), frozenset({"admin"}))
METALLICA = NewEvent(
    name="Metallica Live",
    starts_at=NOW + timedelta(days=1),
    ends_at=NOW + timedelta(days=2),
    price=25000,
    capacity=1000,
)


class MemoryEvents:
    """Keeps events in a dict; `rivals` is how many saves lose to another change first."""

    def __init__(self, journal: list[str]) -> None:
        self.stored: dict[UUID, Event] = {}
        self.changes: list[EventChange] = []
        self.listings: list[EventListing] = []
        self.rivals = 0
        self.journal = journal

    async def get(self, event_id: UUID) -> Event | None:
        return self.stored.get(event_id)

    async def get_many(self, event_ids: Sequence[UUID]) -> list[Event]:
        return [self.stored[event_id] for event_id in event_ids if event_id in self.stored]

    async def page(self, listing: EventListing) -> EventPage:
        self.listings.append(listing)
        return EventPage(tuple(self.stored.values()))

    async def save(self, change: EventChange) -> None:
        self.journal.append("save")
        present = self.stored.get(change.event.id)
        if present is not None and self.rivals > 0:
            self.rivals -= 1
            self.stored[present.id] = replace(present, version=present.version + 1)
            raise StaleVersion
        self.changes.append(change)
        self.stored[change.event.id] = change.event


class ScriptedStock:
    """Answers as it is told to."""

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.refusal: DomainError | None = None

    async def shrink(self, event_id: UUID, capacities: Mapping[UUID, int]) -> None:
        self.journal.append(f"shrink to {list(capacities.values())}")
        if self.refusal is not None:
            raise self.refusal

    async def follow(self, event: Event) -> None:
        self.journal.append(f"follow {event.status}")


class World:
    """A catalog without servers."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.events = MemoryEvents(self.journal)
        self.stock = ScriptedStock(self.journal)

    def clock(self) -> datetime:
        return NOW

    async def create(self, status: EventStatus = EventStatus.PUBLISHED) -> Event:
        event = await create_event(
            replace(METALLICA, status=status),
            ORGANIZER,
            events=self.events,
            clock=self.clock,
            new_id=uuid4,
        )
        self.journal.clear()
        return event

    async def update(self, event: Event, edit: EventEdit, version: int | None = None) -> Event:
        return await update_event(
            ChangeRequest(str(event.id), ORGANIZER, version),
            edit,
            events=self.events,
            stock=self.stock,
            clock=self.clock,
            new_id=uuid4,
        )


@pytest.fixture
def world() -> World:
    return World()


async def test_booking_is_asked_before_and_told_after_the_saving(world: World) -> None:
    event = await world.create()
    await world.update(event, EventEdit(capacity=10))
    assert world.journal == ["shrink to [10]", "save", "follow published"]


@pytest.mark.parametrize("refusal", [CapacityBelowTaken(), BookingUnavailable()])
async def test_nothing_is_saved_when_booking_refuses(world: World, refusal: DomainError) -> None:
    event = await world.create()
    world.stock.refusal = refusal
    with pytest.raises(type(refusal)):
        await world.update(event, EventEdit(capacity=10))
    assert world.journal == ["shrink to [10]"]
    assert world.events.stored[event.id] == event


async def test_growing_and_draft_changes_do_not_need_booking(world: World) -> None:
    event = await world.create()
    draft = await world.create(EventStatus.DRAFT)
    await world.update(event, EventEdit(capacity=2000))
    await world.update(draft, EventEdit(capacity=10))
    assert world.journal == ["save", "follow published", "save"]


async def test_a_change_of_nothing_is_not_saved(world: World) -> None:
    event = await world.create()
    assert await world.update(event, EventEdit(name=event.details.name)) == event
    assert world.journal == []


async def test_a_change_that_names_no_version_is_decided_anew_when_another_came_first(
    world: World,
) -> None:
    event = await world.create()
    world.events.rivals = ATTEMPTS - 1
    after = await world.update(event, EventEdit(name="New name"))
    assert (after.details.name, after.version) == ("New name", ATTEMPTS + 1)


async def test_a_change_gives_up_when_others_keep_coming_first(world: World) -> None:
    event = await world.create()
    world.events.rivals = ATTEMPTS
    with pytest.raises(EventBusy):
        await world.update(event, EventEdit(name="New name"))


async def test_a_change_that_names_its_version_is_not_decided_anew(world: World) -> None:
    event = await world.create()
    world.events.rivals = 1
    with pytest.raises(StaleVersion):
        await world.update(event, EventEdit(name="New name"), version=1)
    assert world.journal == ["save"]


async def test_a_refused_event_is_not_saved(world: World) -> None:
    with pytest.raises(InvalidEvent):
        await create_event(
            replace(METALLICA, name=""),
            ORGANIZER,
            events=world.events,
            clock=world.clock,
            new_id=uuid4,
        )
    assert world.journal == []


async def test_publishing_and_cancelling_twice_saves_once(world: World) -> None:
    draft = await world.create(EventStatus.DRAFT)
    request = ChangeRequest(str(draft.id), ORGANIZER)
    for _ in range(2):
        await publish_event(request, events=world.events, stock=world.stock, clock=world.clock)
    for _ in range(2):
        await cancel_event(request, events=world.events, stock=world.stock, clock=world.clock)
    assert world.journal == ["save", "follow published", "save", "follow cancelled"]
    assert world.events.stored[draft.id].status is EventStatus.CANCELLED


@pytest.mark.parametrize("event_id", ["", "7", "not-a-uuid", NO_EVENTS_ID])
async def test_an_id_of_no_event_is_not_found(world: World, event_id: str) -> None:
    with pytest.raises(EventNotFound):
        await get_event(event_id, ADMIN, include_drafts=True, events=world.events)


async def test_services_see_drafts_and_the_public_does_not(world: World) -> None:
    draft = await world.create(EventStatus.DRAFT)
    found = await get_event(str(draft.id), None, include_drafts=True, events=world.events)
    assert found == draft
    with pytest.raises(EventNotFound):
        await get_event(str(draft.id), None, include_drafts=False, events=world.events)


async def test_a_batch_skips_what_is_no_id_and_is_bounded(world: World) -> None:
    event = await world.create()
    assert await batch_get_events([str(event.id), "junk"], events=world.events) == [event]
    assert await batch_get_events(["junk"], events=world.events) == []
    with pytest.raises(InvalidQuery):
        await batch_get_events(["junk"] * 201, events=world.events)


async def test_a_list_of_drafts_is_narrowed_to_the_actors_own(world: World) -> None:
    drafts = checked_listing(EventFilter(status=EventStatus.DRAFT), None, 20, "")
    foreign = replace(drafts, filter=replace(drafts.filter, organizer_id=UUID(int=8)))

    assert await list_events(drafts, None, events=world.events) == EventPage(())
    assert await list_events(foreign, ORGANIZER, events=world.events) == EventPage(())
    await list_events(drafts, ORGANIZER, events=world.events)
    await list_events(foreign, ADMIN, events=world.events)
    asked = [listing.filter.organizer_id for listing in world.events.listings]
    assert asked == [ORGANIZER.user_id, UUID(int=8)]


async def test_a_list_of_cancelled_events_leaves_out_what_was_never_published(
    world: World,
) -> None:
    cancelled = checked_listing(EventFilter(status=EventStatus.CANCELLED), None, 20, "")
    own = replace(cancelled, filter=replace(cancelled.filter, organizer_id=ORGANIZER.user_id))
    for listing, actor in [(cancelled, None), (own, None), (own, ORGANIZER), (cancelled, ADMIN)]:
        await list_events(listing, actor, events=world.events)
    narrowed = [listing.filter.once_published for listing in world.events.listings]
    assert narrowed == [True, True, False, False]


def test_a_list_is_sorted_by_relevance_only_when_there_is_a_query() -> None:
    assert checked_listing(EventFilter(query=" x "), None, 20, "").sort is EventSort.RELEVANCE
    assert checked_listing(EventFilter(query=" "), None, 20, "").sort is EventSort.STARTS_AT_ASC
    chosen = checked_listing(EventFilter(query="x"), EventSort.CREATED_AT_DESC, 20, "")
    assert chosen.sort is EventSort.CREATED_AT_DESC
    with pytest.raises(InvalidQuery):
        checked_listing(EventFilter(), EventSort.RELEVANCE, 20, "")


@pytest.mark.parametrize("limit", [-1, 0, 101])
def test_a_page_has_1_to_100_events(limit: int) -> None:
    with pytest.raises(InvalidQuery) as refused:
        checked_listing(EventFilter(), None, limit, "")
    assert [error.field for error in refused.value.fields] == ["limit"]
