"""What a new event may be."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from catalog.domain.actor import Actor
from catalog.domain.create_event import NewEvent, create
from catalog.domain.currencies import KNOWN_CURRENCIES
from catalog.domain.errors import InvalidEvent, NotAllowed
from catalog.domain.event import EventPublished, EventStatus, EventUpdated
from catalog.domain.field_rules import END_OF_TIME, TicketTypeDraft
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
ORGANIZER = Actor(UUID(int=7), frozenset({"user", "organizer"}))
ADMIN = Actor(UUID(int=1), frozenset({"admin"}))

METALLICA = NewEvent(
    name="Metallica Live",
    starts_at=NOW + timedelta(days=1),
    ends_at=NOW + timedelta(days=1, hours=3),
    price=25000,
    capacity=1000,
)
VIP = TicketTypeDraft("VIP", price=90000, capacity=10)


def wrong_fields(new: NewEvent) -> list[str]:
    try:
        create(new, ORGANIZER, NOW, uuid4)
    except InvalidEvent as refused:
        return [error.field for error in refused.fields]
    return []


def test_a_price_and_a_capacity_make_one_general_admission() -> None:
    event = create(METALLICA, ORGANIZER, NOW, uuid4).event
    (only,) = event.ticket_types
    assert (only.name, only.price, only.capacity) == ("General Admission", 25000, 1000)
    assert only.max_per_booking == 10
    assert (event.version, event.created_at, event.updated_at) == (1, NOW, NOW)
    assert event.organizer_id == ORGANIZER.user_id


def test_ticket_types_are_kept_in_the_organizers_order() -> None:
    seated = TicketTypeDraft("Seated", price=0, capacity=5, max_per_booking=2)
    event = create(replace(METALLICA, ticket_types=(seated, VIP)), ADMIN, NOW, uuid4).event
    assert [ticket_type.name for ticket_type in event.ticket_types] == ["Seated", "VIP"]
    assert event.ticket_types[0].max_per_booking == 2


def test_a_buyer_may_have_any_number_of_tickets_unless_the_organizer_says_otherwise() -> None:
    unlimited = create(METALLICA, ORGANIZER, NOW, uuid4).event
    assert (unlimited.details.max_per_buyer, unlimited.ticket_types[0].max_per_buyer) == (0, 0)
    limited = replace(METALLICA, max_per_buyer=6, ticket_types=(replace(VIP, max_per_buyer=2),))
    event = create(limited, ORGANIZER, NOW, uuid4).event
    assert (event.details.max_per_buyer, event.ticket_types[0].max_per_buyer) == (6, 2)


def test_it_is_announced_as_published_or_as_an_updated_draft() -> None:
    assert isinstance(create(METALLICA, ORGANIZER, NOW, uuid4), EventPublished)
    draft = replace(METALLICA, status=EventStatus.DRAFT)
    assert isinstance(create(draft, ORGANIZER, NOW, uuid4), EventUpdated)


@pytest.mark.parametrize("actor", [None, Actor(UUID(int=9), frozenset({"user"}))])
def test_others_than_organizers_and_admins_are_turned_away(actor: Actor | None) -> None:
    with pytest.raises(NotAllowed, match="organizers and admins"):
        create(METALLICA, actor, NOW, uuid4)


@pytest.mark.parametrize(
    ("new", "fields"),
    [
        (replace(METALLICA, name=""), ["name"]),
        (replace(METALLICA, name=" \t "), ["name"]),
        (replace(METALLICA, name="x" * 201), ["name"]),
        (replace(METALLICA, name=f" {'x' * 200} "), []),
        (replace(METALLICA, name="🎸" * 200), []),
        (replace(METALLICA, name="a\x00b"), ["name"]),
        (replace(METALLICA, name="a\nb"), ["name"]),
        (replace(METALLICA, name="a\u2028b"), ["name"]),
        (replace(METALLICA, name="a\ud800b"), ["name"]),
        (replace(METALLICA, description="two\nlines\tand a tab"), []),
        (replace(METALLICA, description="a\x00b"), ["description"]),
        (replace(METALLICA, description="x" * 10_001), ["description"]),
        (replace(METALLICA, location="x" * 301), ["location"]),
        (replace(METALLICA, location="a\rb"), ["location"]),
        (replace(METALLICA, starts_at=NOW), []),
        (replace(METALLICA, starts_at=NOW - timedelta(microseconds=1)), ["startAt"]),
        (replace(METALLICA, ends_at=METALLICA.starts_at), ["endAt"]),
        (replace(METALLICA, ends_at=END_OF_TIME), []),
        (replace(METALLICA, ends_at=END_OF_TIME + timedelta(seconds=1)), ["endAt"]),
        (replace(METALLICA, starts_at=None), ["startAt"]),
        (replace(METALLICA, ends_at=None), ["endAt"]),
        (replace(METALLICA, starts_at=None, ends_at=None), ["startAt", "endAt"]),
        (replace(METALLICA, currency="XYZ"), ["currency"]),
        (replace(METALLICA, currency="eur"), ["currency"]),
        (replace(METALLICA, timezone="Mars/Base"), ["timezone"]),
        (replace(METALLICA, timezone="localtime"), ["timezone"]),
        (replace(METALLICA, timezone="Europe/Warsaw"), []),
        (replace(METALLICA, status=EventStatus.CANCELLED), ["status"]),
        (replace(METALLICA, price=0), []),
        (replace(METALLICA, price=-1), ["price"]),
        (replace(METALLICA, price=10**12), []),
        (replace(METALLICA, price=10**12 + 1), ["price"]),
        (replace(METALLICA, price=None, capacity=None), ["price", "capacity"]),
        (replace(METALLICA, capacity=0), ["capacity"]),
        (replace(METALLICA, capacity=10**7), []),
        (replace(METALLICA, capacity=10**7 + 1), ["capacity"]),
        (replace(METALLICA, max_per_buyer=-1), ["maxPerBuyer"]),
        (replace(METALLICA, max_per_buyer=100_000), []),
        (replace(METALLICA, max_per_buyer=100_001), ["maxPerBuyer"]),
    ],
)
def test_a_field_is_held_to_its_rule(new: NewEvent, fields: list[str]) -> None:
    assert wrong_fields(new) == fields


@pytest.mark.parametrize(
    ("drafts", "fields"),
    [
        ((VIP,) * 2, ["ticketTypes[1].name"]),
        ((VIP, replace(VIP, name=" vip ")), ["ticketTypes[1].name"]),
        ((replace(VIP, name="STRASSE"), replace(VIP, name="straße")), ["ticketTypes[1].name"]),
        ((VIP, replace(VIP, name="")), ["ticketTypes[1].name"]),
        ((replace(VIP, name="x" * 101),), ["ticketTypes[0].name"]),
        ((replace(VIP, price=-1),), ["ticketTypes[0].price"]),
        ((replace(VIP, capacity=0),), ["ticketTypes[0].capacity"]),
        ((replace(VIP, max_per_booking=0),), ["ticketTypes[0].maxPerBooking"]),
        ((replace(VIP, max_per_booking=101),), ["ticketTypes[0].maxPerBooking"]),
        ((replace(VIP, max_per_booking=100),), []),
        ((replace(VIP, max_per_buyer=-1),), ["ticketTypes[0].maxPerBuyer"]),
        ((replace(VIP, max_per_buyer=100_000),), []),
        ((replace(VIP, max_per_buyer=100_001),), ["ticketTypes[0].maxPerBuyer"]),
        ((replace(VIP, id=str(uuid4())),), ["ticketTypes[0].id"]),
        (tuple(replace(VIP, name=f"Type {number}") for number in range(50)), []),
        (tuple(replace(VIP, name=f"Type {number}") for number in range(51)), ["ticketTypes"]),
    ],
)
def test_ticket_types_are_held_to_their_rules(
    drafts: tuple[TicketTypeDraft, ...], fields: list[str]
) -> None:
    assert wrong_fields(replace(METALLICA, ticket_types=drafts)) == fields


def test_all_wrong_fields_are_told_at_once() -> None:
    bad = NewEvent(name="", starts_at=None, ends_at=None, currency="", price=-1, capacity=0)
    assert set(wrong_fields(bad)) == {"name", "startAt", "endAt", "currency", "price", "capacity"}


def test_currencies_are_alphabetic_codes_that_people_pay_in() -> None:
    assert {"EUR", "USD", "JPY", "KWD", "PLN"} <= KNOWN_CURRENCIES
    assert not {"XXX", "XTS", "XAU", "DEM"} & KNOWN_CURRENCIES
    assert all(len(code) == 3 and code.isalpha() and code.isupper() for code in KNOWN_CURRENCIES)


@settings(deadline=None)
@given(name=st.text(), description=st.text(), location=st.text())
def test_whatever_text_is_accepted_can_be_stored_and_sent(
    name: str, description: str, location: str
) -> None:
    new = replace(METALLICA, name=name, description=description, location=location)
    try:
        details = create(new, ORGANIZER, NOW, uuid4).event.details
    except InvalidEvent:
        return
    for text in (details.name, details.description, details.location):
        assert "\x00" not in text
        assert text.encode("utf-8").decode("utf-8") == text
    assert 1 <= len(details.name) <= 200
    assert "\n" not in details.name


def counting() -> Callable[[], UUID]:
    numbers = iter(range(1, 10**6))
    return lambda: UUID(int=next(numbers))


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            TicketTypeDraft,
            name=st.text(max_size=4),
            price=st.integers(-1, 10**13),
            capacity=st.integers(-1, 10**8),
            max_per_booking=st.integers(-1, 200),
            max_per_buyer=st.integers(-1, 10**6),
        ),
        max_size=60,
    )
)
def test_whatever_ticket_types_are_accepted_keep_every_rule(drafts: list[TicketTypeDraft]) -> None:
    new = replace(METALLICA, ticket_types=tuple(drafts))
    try:
        ticket_types = create(new, ORGANIZER, NOW, counting()).event.ticket_types
    except InvalidEvent:
        return
    assert 1 <= len(ticket_types) <= 50
    assert len({ticket_type.id for ticket_type in ticket_types}) == len(ticket_types)
    names = {ticket_type.name.casefold() for ticket_type in ticket_types}
    assert len(names) == len(ticket_types)
    assert all(0 <= ticket_type.price <= 10**12 for ticket_type in ticket_types)
    assert all(1 <= ticket_type.capacity <= 10**7 for ticket_type in ticket_types)
    assert all(1 <= ticket_type.max_per_booking <= 100 for ticket_type in ticket_types)
    assert all(0 <= ticket_type.max_per_buyer <= 100_000 for ticket_type in ticket_types)
