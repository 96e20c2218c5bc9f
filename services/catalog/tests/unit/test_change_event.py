"""What may become of an event."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from catalog.domain.actor import Actor
from catalog.domain.create_event import NewEvent, create
from catalog.domain.errors import (
    DomainError,
    EventIsCancelled,
    EventNotFound,
    InvalidEvent,
    NotAllowed,
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
from catalog.domain.field_rules import TicketTypeDraft
from catalog.domain.update_event import EventEdit, update
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ORGANIZER = Actor(UUID(int=7), frozenset({"user", "organizer"}))
RIVAL = Actor(UUID(int=8), frozenset({"user", "organizer"}))
DEMOTED = Actor(UUID(int=7), frozenset({"user"}))
ADMIN = Actor(UUID(int=1), frozenset({"admin"}))

STANDING = TicketTypeDraft("Standing", price=5000, capacity=100)
SEATED = TicketTypeDraft("Seated", price=9000, capacity=50)


def make_event(*drafts: TicketTypeDraft, status: EventStatus = EventStatus.PUBLISHED) -> Event:
    new = NewEvent(
        name="Metallica Live",
        starts_at=NOW + timedelta(days=1),
        ends_at=NOW + timedelta(days=1, hours=3),
        ticket_types=drafts or (STANDING,),
        status=EventStatus.PUBLISHED if status is EventStatus.CANCELLED else status,
    )
    event = create(new, ORGANIZER, NOW, uuid4).event
    return replace(event, status=status)


def drafts_of(event: Event) -> tuple[TicketTypeDraft, ...]:
    return tuple(
        TicketTypeDraft(
            ticket_type.name,
            ticket_type.price,
            ticket_type.capacity,
            ticket_type.max_per_booking,
            str(ticket_type.id),
            ticket_type.max_per_buyer,
        )
        for ticket_type in event.ticket_types
    )


def wrong_fields(event: Event, edit: EventEdit, now: datetime = LATER) -> list[str]:
    with pytest.raises(InvalidEvent) as refused:
        update(event, edit, now, uuid4)
    return [error.field for error in refused.value.fields]


def updated(event: Event, edit: EventEdit) -> Event:
    change = update(event, edit, LATER, uuid4)
    assert isinstance(change, EventUpdated)
    return change.event


def test_a_change_makes_the_next_version_and_leaves_the_rest() -> None:
    event = make_event()
    after = updated(event, EventEdit(name=" New name "))
    assert after.details == replace(event.details, name="New name")
    assert (after.version, after.updated_at, after.created_at) == (2, LATER, NOW)
    assert after.ticket_types == event.ticket_types


def test_a_change_of_nothing_is_no_change() -> None:
    event = make_event(STANDING, SEATED)
    same = EventEdit(
        name=f" {event.details.name} ",
        currency="EUR",
        starts_at=event.details.starts_at,
        status=EventStatus.PUBLISHED,
        ticket_types=drafts_of(event),
    )
    assert update(event, EventEdit(), LATER, uuid4) is None
    assert update(event, same, LATER, uuid4) is None


def test_ticket_types_are_matched_by_id_new_without_one_and_left_out_removed() -> None:
    event = make_event(STANDING, SEATED)
    standing, seated = event.ticket_types
    kept = TicketTypeDraft("Seats", price=9500, capacity=60, id=str(seated.id).upper())
    after = updated(event, EventEdit(ticket_types=(TicketTypeDraft("VIP", 1, 1), kept)))

    vip, seats = after.ticket_types
    assert vip.id not in {standing.id, seated.id}
    assert (seats.id, seats.name, seats.price) == (seated.id, "Seats", 9500)


def test_two_ticket_types_may_swap_their_names() -> None:
    event = make_event(STANDING, SEATED)
    first, second = drafts_of(event)
    swapped = (replace(first, name=second.name), replace(second, name=first.name))
    after = updated(event, EventEdit(ticket_types=swapped))
    assert [ticket_type.name for ticket_type in after.ticket_types] == ["Seated", "Standing"]


def test_an_unknown_or_repeated_ticket_type_id_is_a_field_error() -> None:
    event = make_event()
    (known,) = drafts_of(event)
    stranger = replace(known, name="Other", id=str(uuid4()))
    again = replace(known, name="Again")
    assert wrong_fields(event, EventEdit(ticket_types=(known, stranger))) == ["ticketTypes[1].id"]
    assert wrong_fields(event, EventEdit(ticket_types=(known, again))) == ["ticketTypes[1].id"]
    assert wrong_fields(event, EventEdit(ticket_types=())) == ["ticketTypes"]


def test_price_and_capacity_change_the_only_ticket_type() -> None:
    event = make_event()
    (only,) = event.ticket_types
    after = updated(event, EventEdit(price=7000, capacity=120))
    assert after.ticket_types == (replace(only, price=7000, capacity=120),)
    assert updated(event, EventEdit(price=0)).ticket_types == (replace(only, price=0),)


def test_the_limit_per_buyer_is_set_kept_and_lifted() -> None:
    limited = updated(make_event(replace(STANDING, max_per_buyer=2)), EventEdit(max_per_buyer=6))
    assert limited.details.max_per_buyer == 6
    cheaper = updated(limited, EventEdit(price=1))
    assert (cheaper.details.max_per_buyer, cheaper.ticket_types[0].max_per_buyer) == (6, 2)
    assert updated(cheaper, EventEdit(max_per_buyer=0)).details.max_per_buyer == 0
    assert wrong_fields(limited, EventEdit(max_per_buyer=-1)) == ["maxPerBuyer"]


def test_price_and_capacity_say_nothing_about_one_of_several_ticket_types() -> None:
    event = make_event(STANDING, SEATED)
    assert wrong_fields(event, EventEdit(price=1)) == ["price"]
    assert wrong_fields(event, EventEdit(capacity=1, price=1)) == ["price", "capacity"]


def test_price_and_capacity_yield_to_a_list_of_ticket_types() -> None:
    event = make_event(STANDING, SEATED)
    assert update(event, EventEdit(ticket_types=drafts_of(event), price=1), LATER, uuid4) is None


def test_the_start_may_not_move_into_the_past_but_a_past_start_may_stay() -> None:
    event = make_event()
    assert wrong_fields(event, EventEdit(starts_at=LATER - timedelta(seconds=1))) == ["startAt"]
    during = event.details.starts_at + timedelta(hours=1)
    change = update(event, EventEdit(description="Doors are open"), during, uuid4)
    assert isinstance(change, EventUpdated)


def test_the_end_stays_after_the_start_whichever_moves() -> None:
    event = make_event()
    assert wrong_fields(event, EventEdit(starts_at=event.details.ends_at)) == ["endAt"]
    assert wrong_fields(event, EventEdit(ends_at=event.details.starts_at)) == ["endAt"]


def test_the_currency_changes_in_a_draft_only() -> None:
    draft = make_event(status=EventStatus.DRAFT)
    assert updated(draft, EventEdit(currency="PLN")).details.currency == "PLN"
    assert wrong_fields(make_event(), EventEdit(currency="PLN")) == ["currency"]


def test_a_draft_is_moved_and_published_in_one_change() -> None:
    draft = make_event(status=EventStatus.DRAFT)
    late = draft.details.starts_at + timedelta(hours=1)
    moved = EventEdit(starts_at=late, status=EventStatus.PUBLISHED)
    change = update(draft, moved, late, uuid4)
    assert isinstance(change, EventPublished)
    assert (change.event.version, change.event.details.starts_at) == (2, late)


def test_a_draft_whose_start_has_passed_is_not_published() -> None:
    draft = make_event(status=EventStatus.DRAFT)
    late = draft.details.starts_at + timedelta(seconds=1)
    with pytest.raises(InvalidEvent):
        draft.publish(late)
    assert wrong_fields(draft, EventEdit(status=EventStatus.PUBLISHED), late) == ["startAt"]


def test_a_published_event_is_no_draft_again() -> None:
    assert wrong_fields(make_event(), EventEdit(status=EventStatus.DRAFT)) == ["status"]


def test_an_event_is_cancelled_on_its_own() -> None:
    event = make_event()
    change = update(event, EventEdit(status=EventStatus.CANCELLED), LATER, uuid4)
    assert isinstance(change, EventCancelled)
    renamed = EventEdit(status=EventStatus.CANCELLED, name="Called off")
    assert wrong_fields(event, renamed) == ["status"]


def test_a_cancelled_event_takes_no_change_but_bears_repeating() -> None:
    event = make_event(status=EventStatus.CANCELLED)
    assert event.cancel(LATER) is None
    assert update(event, EventEdit(status=EventStatus.CANCELLED), LATER, uuid4) is None
    for edit in (
        EventEdit(name="New"),
        EventEdit(name=""),
        EventEdit(status=EventStatus.PUBLISHED),
        EventEdit(status=EventStatus.DRAFT),
    ):
        with pytest.raises(EventIsCancelled):
            update(event, edit, LATER, uuid4)
    with pytest.raises(EventIsCancelled):
        event.publish(LATER)


@pytest.mark.parametrize(
    ("status", "actor", "refusal"),
    [
        (EventStatus.PUBLISHED, ORGANIZER, None),
        (EventStatus.PUBLISHED, ADMIN, None),
        (EventStatus.PUBLISHED, RIVAL, NotAllowed),
        (EventStatus.PUBLISHED, DEMOTED, NotAllowed),
        (EventStatus.PUBLISHED, None, NotAllowed),
        (EventStatus.DRAFT, ORGANIZER, None),
        (EventStatus.DRAFT, ADMIN, None),
        (EventStatus.DRAFT, RIVAL, EventNotFound),
        (EventStatus.DRAFT, None, EventNotFound),
    ],
)
def test_its_organizer_and_admins_may_change_it(
    status: EventStatus, actor: Actor | None, refusal: type[DomainError] | None
) -> None:
    event = make_event(status=status)
    if refusal is None:
        event.require_changeable_by(actor, expected_version=1)
        return
    with pytest.raises(refusal):
        event.require_changeable_by(actor, expected_version=1)


def test_a_version_that_is_not_the_present_one_is_stale() -> None:
    event = make_event()
    event.require_changeable_by(ORGANIZER, None)
    with pytest.raises(StaleVersion):
        event.require_changeable_by(ORGANIZER, 2)


def test_only_what_gets_smaller_on_sale_is_shrunk() -> None:
    event = make_event(STANDING, SEATED)
    standing, seated = event.ticket_types
    after = replace(event, ticket_types=(replace(standing, capacity=99),))
    assert shrunk_capacities(event, after) == {standing.id: 99, seated.id: 0}
    assert shrunk_capacities(after, event) == {}
    draft = replace(event, status=EventStatus.DRAFT)
    assert shrunk_capacities(draft, replace(after, status=EventStatus.DRAFT)) == {}
    assert shrunk_capacities(draft, after) == {}
    assert shrunk_capacities(event, replace(after, status=EventStatus.CANCELLED)) == {}


EDITS = st.builds(
    EventEdit,
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
@given(edit=EDITS, status=st.sampled_from(EventStatus), several=st.booleans())
def test_every_accepted_change_is_one_valid_version_on_and_repeating_it_is_none(
    edit: EventEdit, status: EventStatus, several: bool
) -> None:
    event = make_event(*((STANDING, SEATED) if several else (STANDING,)), status=status)
    try:
        change = update(event, edit, LATER, uuid4)
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
    kinds = {
        EventStatus.DRAFT: EventUpdated,
        EventStatus.PUBLISHED: EventUpdated if status is after.status else EventPublished,
        EventStatus.CANCELLED: EventCancelled,
    }
    assert type(change) is kinds[after.status]
    # The same wish again, with the ids that new ticket types got, is no change.
    again = edit if edit.ticket_types is None else replace(edit, ticket_types=drafts_of(after))
    assert update(after, again, LATER, uuid4) is None


@settings(deadline=None)
@given(edit=EDITS)
def test_what_shrinks_is_exactly_what_a_buyer_could_lose(edit: EventEdit) -> None:
    event = make_event(STANDING, SEATED)
    try:
        change = update(event, edit, LATER, uuid4)
    except InvalidEvent:
        return
    after = event if change is None else change.event
    shrunk = shrunk_capacities(event, after)
    capacities = {ticket_type.id: ticket_type.capacity for ticket_type in after.ticket_types}
    for ticket_type in event.ticket_types:
        left = capacities.get(ticket_type.id, 0)
        on_sale = after.status is EventStatus.PUBLISHED
        assert (ticket_type.id in shrunk) == (on_sale and left < ticket_type.capacity)
        assert shrunk.get(ticket_type.id, left) == left
