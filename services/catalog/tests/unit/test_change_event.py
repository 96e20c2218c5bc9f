"""Changing an event: patches, status changes and permissions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from catalog.domain.create_event import CreateEventCommand, create
from catalog.domain.errors import (
    EventIsCancelled,
    EventNotFound,
    InvalidEvent,
    StaleVersion,
)
from catalog.domain.event import (
    Event,
    EventCancelled,
    EventPublished,
    EventStatus,
    EventUpdated,
    shrunk_capacities,
)
from catalog.domain.update_event import EventPatch, update
from catalog.domain.validation import TicketTypeDraft
from goticket_kernel.actor import ANONYMOUS, Actor
from goticket_kernel.errors import DomainError, Forbidden
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ORGANIZER = Actor(UUID(int=7), frozenset({"user", "organizer"}))
OTHER_ORGANIZER = Actor(UUID(int=8), frozenset({"user", "organizer"}))
DEMOTED = Actor(UUID(int=7), frozenset({"user"}))
ADMIN = Actor(UUID(int=1), frozenset({"admin"}))

STANDING = TicketTypeDraft("Standing", price=5000, capacity=100)
SEATED = TicketTypeDraft("Seated", price=9000, capacity=50)


def make_event(*drafts: TicketTypeDraft, status: EventStatus = EventStatus.PUBLISHED) -> Event:
    command = CreateEventCommand(
        name="Metallica Live",
        starts_at=NOW + timedelta(days=1),
        ends_at=NOW + timedelta(days=1, hours=3),
        ticket_types=drafts or (STANDING,),
        status=EventStatus.PUBLISHED if status is EventStatus.CANCELLED else status,
    )
    event = create(command, ORGANIZER, NOW, uuid4).event
    return replace(event, status=status)


def drafts_of(event: Event) -> tuple[TicketTypeDraft, ...]:
    return tuple(
        TicketTypeDraft(
            ticket_type.name,
            ticket_type.price,
            ticket_type.capacity,
            ticket_type.max_per_booking,
            ticket_type.id,
            ticket_type.max_per_buyer,
        )
        for ticket_type in event.ticket_types
    )


def invalid_fields(event: Event, patch: EventPatch, now: datetime = LATER) -> list[str]:
    with pytest.raises(InvalidEvent) as error:
        update(event, patch, now, uuid4)
    return [invalid.field for invalid in error.value.fields]


def updated(event: Event, patch: EventPatch) -> Event:
    change = update(event, patch, LATER, uuid4)
    assert isinstance(change, EventUpdated)
    return change.event


def test_a_change_creates_the_next_version_and_keeps_the_other_fields() -> None:
    event = make_event()
    after = updated(event, EventPatch(name=" New name "))
    assert after.details == replace(event.details, name="New name")
    assert (after.version, after.updated_at, after.created_at) == (2, LATER, NOW)
    assert after.ticket_types == event.ticket_types


def test_a_patch_with_the_same_values_changes_nothing() -> None:
    event = make_event(STANDING, SEATED)
    same = EventPatch(
        name=f" {event.details.name} ",
        currency="EUR",
        starts_at=event.details.starts_at,
        status=EventStatus.PUBLISHED,
        ticket_types=drafts_of(event),
    )
    assert update(event, EventPatch(), LATER, uuid4) is None
    assert update(event, same, LATER, uuid4) is None


def test_ticket_types_match_by_id_are_new_without_one_and_removed_when_absent() -> None:
    event = make_event(STANDING, SEATED)
    standing, seated = event.ticket_types
    kept = TicketTypeDraft("Seats", price=9500, capacity=60, id=seated.id)
    after = updated(event, EventPatch(ticket_types=(TicketTypeDraft("VIP", 1, 1), kept)))

    vip, seats = after.ticket_types
    assert vip.id not in {standing.id, seated.id}
    assert (seats.id, seats.name, seats.price) == (seated.id, "Seats", 9500)


def test_two_ticket_types_may_swap_their_names() -> None:
    event = make_event(STANDING, SEATED)
    first, second = drafts_of(event)
    swapped = (replace(first, name=second.name), replace(second, name=first.name))
    after = updated(event, EventPatch(ticket_types=swapped))
    assert [ticket_type.name for ticket_type in after.ticket_types] == ["Seated", "Standing"]


def test_an_unknown_or_repeated_ticket_type_id_is_a_field_error() -> None:
    event = make_event()
    (known,) = drafts_of(event)
    unknown = replace(known, name="Other", id=uuid4())
    repeated = replace(known, name="Again")
    assert invalid_fields(event, EventPatch(ticket_types=(known, unknown))) == [
        "ticket_types[1].id"
    ]
    assert invalid_fields(event, EventPatch(ticket_types=(known, repeated))) == [
        "ticket_types[1].id"
    ]
    assert invalid_fields(event, EventPatch(ticket_types=())) == ["ticket_types"]


def test_price_and_capacity_change_the_only_ticket_type() -> None:
    event = make_event()
    (only,) = event.ticket_types
    after = updated(event, EventPatch(price=7000, capacity=120))
    assert after.ticket_types == (replace(only, price=7000, capacity=120),)
    assert updated(event, EventPatch(price=0)).ticket_types == (replace(only, price=0),)


def test_the_limit_per_buyer_is_set_kept_and_removed() -> None:
    limited = updated(make_event(replace(STANDING, max_per_buyer=2)), EventPatch(max_per_buyer=6))
    assert limited.details.max_per_buyer == 6
    cheaper = updated(limited, EventPatch(price=1))
    assert (cheaper.details.max_per_buyer, cheaper.ticket_types[0].max_per_buyer) == (6, 2)
    assert updated(cheaper, EventPatch(max_per_buyer=0)).details.max_per_buyer == 0
    assert invalid_fields(limited, EventPatch(max_per_buyer=-1)) == ["max_per_buyer"]


def test_price_and_capacity_are_invalid_with_several_ticket_types() -> None:
    event = make_event(STANDING, SEATED)
    assert invalid_fields(event, EventPatch(price=1)) == ["price"]
    assert invalid_fields(event, EventPatch(capacity=1, price=1)) == ["price", "capacity"]


def test_price_and_capacity_are_ignored_with_a_list_of_ticket_types() -> None:
    event = make_event(STANDING, SEATED)
    assert update(event, EventPatch(ticket_types=drafts_of(event), price=1), LATER, uuid4) is None


def test_a_new_start_may_not_be_in_the_past_but_an_unchanged_one_may() -> None:
    event = make_event()
    assert invalid_fields(event, EventPatch(starts_at=LATER - timedelta(seconds=1))) == [
        "starts_at"
    ]
    during = event.details.starts_at + timedelta(hours=1)
    change = update(event, EventPatch(description="Doors are open"), during, uuid4)
    assert isinstance(change, EventUpdated)


def test_the_end_must_be_after_the_start_whichever_changes() -> None:
    event = make_event()
    assert invalid_fields(event, EventPatch(starts_at=event.details.ends_at)) == ["ends_at"]
    assert invalid_fields(event, EventPatch(ends_at=event.details.starts_at)) == ["ends_at"]


def test_only_a_draft_may_change_its_currency() -> None:
    draft = make_event(status=EventStatus.DRAFT)
    assert updated(draft, EventPatch(currency="PLN")).details.currency == "PLN"
    assert invalid_fields(make_event(), EventPatch(currency="PLN")) == ["currency"]


def test_one_patch_moves_a_draft_and_publishes_it() -> None:
    draft = make_event(status=EventStatus.DRAFT)
    late = draft.details.starts_at + timedelta(hours=1)
    moved = EventPatch(starts_at=late, status=EventStatus.PUBLISHED)
    change = update(draft, moved, late, uuid4)
    assert isinstance(change, EventPublished)
    assert (change.event.version, change.event.details.starts_at) == (2, late)


def test_a_draft_whose_start_is_in_the_past_cannot_be_published() -> None:
    draft = make_event(status=EventStatus.DRAFT)
    late = draft.details.starts_at + timedelta(seconds=1)
    with pytest.raises(InvalidEvent):
        draft.publish(late)
    assert invalid_fields(draft, EventPatch(status=EventStatus.PUBLISHED), late) == ["starts_at"]


def test_a_published_event_cannot_become_a_draft() -> None:
    assert invalid_fields(make_event(), EventPatch(status=EventStatus.DRAFT)) == ["status"]


def test_cancelling_cannot_be_combined_with_other_changes() -> None:
    event = make_event()
    change = update(event, EventPatch(status=EventStatus.CANCELLED), LATER, uuid4)
    assert isinstance(change, EventCancelled)
    renamed = EventPatch(status=EventStatus.CANCELLED, name="Cancelled show")
    assert invalid_fields(event, renamed) == ["status"]


def test_a_cancelled_event_cannot_change_but_can_be_cancelled_again() -> None:
    event = make_event(status=EventStatus.CANCELLED)
    assert event.cancel(LATER) is None
    assert update(event, EventPatch(status=EventStatus.CANCELLED), LATER, uuid4) is None
    for patch in (
        EventPatch(name="New"),
        EventPatch(name=""),
        EventPatch(status=EventStatus.PUBLISHED),
        EventPatch(status=EventStatus.DRAFT),
    ):
        with pytest.raises(EventIsCancelled):
            update(event, patch, LATER, uuid4)
    with pytest.raises(EventIsCancelled):
        event.publish(LATER)


@pytest.mark.parametrize(
    ("status", "actor", "expected"),
    [
        (EventStatus.PUBLISHED, ORGANIZER, None),
        (EventStatus.PUBLISHED, ADMIN, None),
        (EventStatus.PUBLISHED, OTHER_ORGANIZER, Forbidden),
        (EventStatus.PUBLISHED, DEMOTED, Forbidden),
        (EventStatus.PUBLISHED, ANONYMOUS, Forbidden),
        (EventStatus.DRAFT, ORGANIZER, None),
        (EventStatus.DRAFT, ADMIN, None),
        (EventStatus.DRAFT, OTHER_ORGANIZER, EventNotFound),
        (EventStatus.DRAFT, ANONYMOUS, EventNotFound),
    ],
)
def test_only_its_organizer_and_admins_may_change_an_event(
    status: EventStatus, actor: Actor, expected: type[DomainError] | None
) -> None:
    event = make_event(status=status)
    if expected is None:
        event.require_changeable_by(actor, expected_version=1)
        return
    with pytest.raises(expected):
        event.require_changeable_by(actor, expected_version=1)


def test_a_version_other_than_the_current_one_is_stale() -> None:
    event = make_event()
    event.require_changeable_by(ORGANIZER, None)
    with pytest.raises(StaleVersion):
        event.require_changeable_by(ORGANIZER, 2)


def test_only_smaller_capacities_of_published_events_are_shrunk() -> None:
    event = make_event(STANDING, SEATED)
    standing, seated = event.ticket_types
    after = replace(event, ticket_types=(replace(standing, capacity=99),))
    assert shrunk_capacities(event, after) == {standing.id: 99, seated.id: 0}
    assert shrunk_capacities(after, event) == {}
    draft = replace(event, status=EventStatus.DRAFT)
    assert shrunk_capacities(draft, replace(after, status=EventStatus.DRAFT)) == {}
    assert shrunk_capacities(draft, after) == {}
    assert shrunk_capacities(event, replace(after, status=EventStatus.CANCELLED)) == {}


PATCHES = st.builds(
    EventPatch,
    name=st.none() | st.text(max_size=3),
    description=st.none() | st.text(max_size=3),
    currency=st.none() | st.sampled_from(["EUR", "PLN", "XXX"]),
    timezone=st.none() | st.sampled_from(["UTC", "Europe/Warsaw", "Mars"]),
    starts_at=st.none() | st.integers(-2, 50).map(lambda hours: NOW + timedelta(hours=hours)),
    ends_at=st.none() | st.integers(-2, 50).map(lambda hours: NOW + timedelta(hours=hours)),
    status=st.none() | st.sampled_from(EventStatus),
    price=st.none() | st.integers(-1, 3),
    capacity=st.none() | st.integers(-1, 200),
    max_per_buyer=st.none() | st.integers(-1, 3),
    ticket_types=st.none()
    | st.lists(
        st.builds(
            TicketTypeDraft,
            name=st.sampled_from(["Standing", "Seated", "standing", "VIP", ""]),
            price=st.integers(-1, 3),
            capacity=st.integers(0, 200),
            max_per_buyer=st.integers(-1, 3),
        ),
        max_size=3,
    ).map(tuple),
)


@settings(deadline=None)
@given(patch=PATCHES, status=st.sampled_from(EventStatus), several=st.booleans())
def test_an_accepted_patch_creates_one_valid_version_and_repeating_it_changes_nothing(
    patch: EventPatch, status: EventStatus, several: bool
) -> None:
    event = make_event(*((STANDING, SEATED) if several else (STANDING,)), status=status)
    try:
        change = update(event, patch, LATER, uuid4)
    except (InvalidEvent, EventIsCancelled):
        return
    if change is None:
        return
    after = change.event
    assert status is not EventStatus.CANCELLED
    assert (after.id, after.organizer_id, after.version) == (event.id, event.organizer_id, 2)
    assert after.details.ends_at > after.details.starts_at
    if after.details.starts_at != event.details.starts_at:
        assert after.details.starts_at >= LATER
    if status is EventStatus.PUBLISHED:
        assert after.details.currency == event.details.currency
        assert after.status is not EventStatus.DRAFT
    expected = {
        EventStatus.DRAFT: EventUpdated,
        EventStatus.PUBLISHED: EventUpdated if status is after.status else EventPublished,
        EventStatus.CANCELLED: EventCancelled,
    }
    assert type(change) is expected[after.status]
    # The same patch with the ids of the new ticket types changes nothing.
    repeated = (
        patch if patch.ticket_types is None else replace(patch, ticket_types=drafts_of(after))
    )
    assert update(after, repeated, LATER, uuid4) is None


@settings(deadline=None)
@given(patch=PATCHES)
def test_exactly_the_smaller_capacities_of_a_published_event_are_shrunk(patch: EventPatch) -> None:
    event = make_event(STANDING, SEATED)
    try:
        change = update(event, patch, LATER, uuid4)
    except InvalidEvent:
        return
    after = event if change is None else change.event
    shrunk = shrunk_capacities(event, after)
    capacities = {ticket_type.id: ticket_type.capacity for ticket_type in after.ticket_types}
    for ticket_type in event.ticket_types:
        capacity = capacities.get(ticket_type.id, 0)
        is_published = after.status is EventStatus.PUBLISHED
        assert (ticket_type.id in shrunk) == (is_published and capacity < ticket_type.capacity)
        assert shrunk.get(ticket_type.id, capacity) == capacity
