"""Creating an event: rules for its fields."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from catalog.domain.create_event import CreateEventCommand, create
from catalog.domain.currencies import KNOWN_CURRENCIES
from catalog.domain.errors import InvalidEvent
from catalog.domain.event import EventPublished, EventStatus, EventUpdated
from catalog.domain.validation import LATEST_TIME, TicketTypeDraft
from goticket_kernel.actor import ANONYMOUS, Actor
from goticket_kernel.errors import Forbidden
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
ORGANIZER = Actor(UUID(int=7), frozenset({"user", "organizer"}))
ADMIN = Actor(UUID(int=1), frozenset({"admin"}))

VALID = CreateEventCommand(
    name="Metallica Live",
    starts_at=NOW + timedelta(days=1),
    ends_at=NOW + timedelta(days=1, hours=3),
    price=25000,
    capacity=1000,
)
VIP = TicketTypeDraft("VIP", price=90000, capacity=10)


def invalid_fields(command: CreateEventCommand) -> list[str]:
    try:
        create(command, ORGANIZER, NOW, uuid4)
    except InvalidEvent as error:
        return [invalid.field for invalid in error.fields]
    return []


def test_a_price_and_a_capacity_make_one_ticket_type_general_admission() -> None:
    event = create(VALID, ORGANIZER, NOW, uuid4).event
    (only,) = event.ticket_types
    assert (only.name, only.price, only.capacity) == ("General Admission", 25000, 1000)
    assert only.max_per_booking == 10
    assert (event.version, event.created_at, event.updated_at) == (1, NOW, NOW)
    assert event.organizer_id == ORGANIZER.user_id


def test_ticket_types_keep_the_order_of_the_organizer() -> None:
    seated = TicketTypeDraft("Seated", price=0, capacity=5, max_per_booking=2)
    event = create(replace(VALID, ticket_types=(seated, VIP)), ADMIN, NOW, uuid4).event
    assert [ticket_type.name for ticket_type in event.ticket_types] == ["Seated", "VIP"]
    assert event.ticket_types[0].max_per_booking == 2


def test_the_number_of_tickets_per_buyer_is_unlimited_by_default() -> None:
    unlimited = create(VALID, ORGANIZER, NOW, uuid4).event
    assert (unlimited.details.max_per_buyer, unlimited.ticket_types[0].max_per_buyer) == (0, 0)
    limited = replace(VALID, max_per_buyer=6, ticket_types=(replace(VIP, max_per_buyer=2),))
    event = create(limited, ORGANIZER, NOW, uuid4).event
    assert (event.details.max_per_buyer, event.ticket_types[0].max_per_buyer) == (6, 2)


def test_a_new_event_is_reported_as_published_and_a_new_draft_as_updated() -> None:
    assert isinstance(create(VALID, ORGANIZER, NOW, uuid4), EventPublished)
    draft = replace(VALID, status=EventStatus.DRAFT)
    assert isinstance(create(draft, ORGANIZER, NOW, uuid4), EventUpdated)


@pytest.mark.parametrize("actor", [ANONYMOUS, Actor(UUID(int=9), frozenset({"user"}))])
def test_only_organizers_and_admins_create_events(actor: Actor) -> None:
    with pytest.raises(Forbidden, match="organizers and admins"):
        create(VALID, actor, NOW, uuid4)


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        (replace(VALID, name=""), ["name"]),
        (replace(VALID, name=" \t "), ["name"]),
        (replace(VALID, name="x" * 201), ["name"]),
        (replace(VALID, name=f" {'x' * 200} "), []),
        (replace(VALID, name="🎸" * 200), []),
        (replace(VALID, name="a\x00b"), ["name"]),
        (replace(VALID, name="a\nb"), ["name"]),
        (replace(VALID, name="a\u2028b"), ["name"]),
        (replace(VALID, name="a\ud800b"), ["name"]),
        (replace(VALID, description="two\nlines\tand a tab"), []),
        (replace(VALID, description="a\x00b"), ["description"]),
        (replace(VALID, description="x" * 10_001), ["description"]),
        (replace(VALID, location="x" * 301), ["location"]),
        (replace(VALID, location="a\rb"), ["location"]),
        (replace(VALID, starts_at=NOW), []),
        (replace(VALID, starts_at=NOW - timedelta(microseconds=1)), ["starts_at"]),
        (replace(VALID, ends_at=VALID.starts_at), ["ends_at"]),
        (replace(VALID, ends_at=LATEST_TIME), []),
        (replace(VALID, ends_at=LATEST_TIME + timedelta(seconds=1)), ["ends_at"]),
        (replace(VALID, starts_at=None), ["starts_at"]),
        (replace(VALID, ends_at=None), ["ends_at"]),
        (replace(VALID, starts_at=None, ends_at=None), ["starts_at", "ends_at"]),
        (replace(VALID, currency="XYZ"), ["currency"]),
        (replace(VALID, currency="eur"), ["currency"]),
        (replace(VALID, timezone="Mars/Base"), ["timezone"]),
        (replace(VALID, timezone="localtime"), ["timezone"]),
        (replace(VALID, timezone="Europe/Warsaw"), []),
        (replace(VALID, status=EventStatus.CANCELLED), ["status"]),
        (replace(VALID, price=0), []),
        (replace(VALID, price=-1), ["price"]),
        (replace(VALID, price=10**12), []),
        (replace(VALID, price=10**12 + 1), ["price"]),
        (replace(VALID, price=None, capacity=None), ["price", "capacity"]),
        (replace(VALID, capacity=0), ["capacity"]),
        (replace(VALID, capacity=10**7), []),
        (replace(VALID, capacity=10**7 + 1), ["capacity"]),
        (replace(VALID, max_per_buyer=-1), ["max_per_buyer"]),
        (replace(VALID, max_per_buyer=100_000), []),
        (replace(VALID, max_per_buyer=100_001), ["max_per_buyer"]),
    ],
)
def test_each_field_is_validated(command: CreateEventCommand, fields: list[str]) -> None:
    assert invalid_fields(command) == fields


@pytest.mark.parametrize(
    ("drafts", "fields"),
    [
        ((VIP,) * 2, ["ticket_types[1].name"]),
        ((VIP, replace(VIP, name=" vip ")), ["ticket_types[1].name"]),
        ((replace(VIP, name="STRASSE"), replace(VIP, name="straße")), ["ticket_types[1].name"]),
        ((VIP, replace(VIP, name="")), ["ticket_types[1].name"]),
        ((replace(VIP, name="x" * 101),), ["ticket_types[0].name"]),
        ((replace(VIP, price=-1),), ["ticket_types[0].price"]),
        ((replace(VIP, capacity=0),), ["ticket_types[0].capacity"]),
        ((replace(VIP, max_per_booking=0),), ["ticket_types[0].max_per_booking"]),
        ((replace(VIP, max_per_booking=101),), ["ticket_types[0].max_per_booking"]),
        ((replace(VIP, max_per_booking=100),), []),
        ((replace(VIP, max_per_buyer=-1),), ["ticket_types[0].max_per_buyer"]),
        ((replace(VIP, max_per_buyer=100_000),), []),
        ((replace(VIP, max_per_buyer=100_001),), ["ticket_types[0].max_per_buyer"]),
        ((replace(VIP, id=uuid4()),), ["ticket_types[0].id"]),
        (tuple(replace(VIP, name=f"Type {number}") for number in range(50)), []),
        (tuple(replace(VIP, name=f"Type {number}") for number in range(51)), ["ticket_types"]),
    ],
)
def test_ticket_types_are_validated(drafts: tuple[TicketTypeDraft, ...], fields: list[str]) -> None:
    assert invalid_fields(replace(VALID, ticket_types=drafts)) == fields


def test_all_invalid_fields_are_reported_together() -> None:
    invalid = CreateEventCommand(
        name="", starts_at=None, ends_at=None, currency="", price=-1, capacity=0
    )
    assert set(invalid_fields(invalid)) == {
        "name",
        "starts_at",
        "ends_at",
        "currency",
        "price",
        "capacity",
    }


def test_currencies_are_alphabetic_codes_without_metals_and_test_codes() -> None:
    assert {"EUR", "USD", "JPY", "KWD", "PLN"} <= KNOWN_CURRENCIES
    assert not {"XXX", "XTS", "XAU", "DEM"} & KNOWN_CURRENCIES
    assert all(len(code) == 3 and code.isalpha() and code.isupper() for code in KNOWN_CURRENCIES)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\u200b",
        "\u3164",
        "\u2800",
        "\u0301",
        "\u200e",
        "\u202eevil",
        "\ue000",
        "\ud800",
        "\x00",
    ],
)
def test_an_unreadable_name_is_refused(text: str) -> None:
    """The rule itself has its tests in libs/kernel."""
    assert invalid_fields(replace(VALID, name=text)) == ["name"]
    drafts = (replace(VIP, name=text), VIP)
    assert invalid_fields(replace(VALID, ticket_types=drafts)) == ["ticket_types[0].name"]


@pytest.mark.parametrize("text", ["\u3164", "\u0301", "\u202eevil", "\ue000", "\ud800", "\x00"])
def test_an_optional_text_has_no_unseen_characters(text: str) -> None:
    assert invalid_fields(replace(VALID, description=text)) == ["description"]
    assert invalid_fields(replace(VALID, location=text)) == ["location"]


def test_ticket_types_of_one_event_do_not_look_the_same() -> None:
    for other in ("vip", "\uff36\uff29\uff30", "VIP\u200e", " VIP "):
        drafts = (VIP, replace(VIP, name=other))
        assert invalid_fields(replace(VALID, ticket_types=drafts)) == ["ticket_types[1].name"]


def test_texts_are_stored_in_one_form() -> None:
    command = replace(
        VALID, name=" Zoe\u0308\u00a0 Live", location="Gda\u0144sk\u200b", description="a \r\nb"
    )
    details = create(command, ORGANIZER, NOW, uuid4).event.details
    assert details.name == "Zo\u00eb Live"
    assert details.location == "Gda\u0144sk"
    assert details.description == "a\nb"


@settings(deadline=None)
@given(name=st.text(), description=st.text(), location=st.text())
def test_accepted_text_can_be_stored_and_encoded(
    name: str, description: str, location: str
) -> None:
    command = replace(VALID, name=name, description=description, location=location)
    try:
        details = create(command, ORGANIZER, NOW, uuid4).event.details
    except InvalidEvent:
        return
    for text in (details.name, details.description, details.location):
        assert "\x00" not in text
        assert text.encode("utf-8").decode("utf-8") == text
    assert 1 <= len(details.name) <= 200
    assert "\n" not in details.name


def id_counter() -> Callable[[], UUID]:
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
def test_accepted_ticket_types_obey_every_rule(drafts: list[TicketTypeDraft]) -> None:
    command = replace(VALID, ticket_types=tuple(drafts))
    try:
        ticket_types = create(command, ORGANIZER, NOW, id_counter()).event.ticket_types
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
