"""What each field of an event may hold; problems are collected and raised all at once."""

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import available_timezones

from catalog.domain.currencies import KNOWN_CURRENCIES
from catalog.domain.errors import FieldError, ValidationFailed
from catalog.domain.event import EventDetails, TicketType

MAX_NAME = 200
MAX_DESCRIPTION = 10_000
MAX_LOCATION = 300
MAX_TICKET_TYPES = 50
MAX_TICKET_TYPE_NAME = 100
MAX_PRICE = 10**12
"""Minor units."""
MAX_CAPACITY = 10**7
DEFAULT_MAX_PER_BOOKING = 10
MAX_PER_BOOKING = 100
MAX_PER_BUYER = 100_000
END_OF_TIME = datetime(3000, 1, 1, tzinfo=UTC)
"""Later times are slips of the pen, and some calendars cannot hold them."""

# Read once: the zone database does not change while a process runs. "localtime"
# and "Factory" are names some systems add that are no place's time.
KNOWN_ZONES = frozenset(available_timezones()) - {"localtime", "Factory"}

_LINE_BREAKS = frozenset("\n\r\t")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


@dataclass(frozen=True)
class TicketTypeDraft:
    """A ticket type as the organizer writes it; `id` empty for a new one."""

    name: str
    price: int
    capacity: int
    max_per_booking: int = DEFAULT_MAX_PER_BOOKING
    id: str = ""
    max_per_buyer: int = 0


class Problems:
    """Field errors in the order they are found."""

    def __init__(self) -> None:
        self.found: list[FieldError] = []

    def add(self, field: str, message: str) -> None:
        """Note what is wrong with a field."""
        self.found.append(FieldError(field, message))

    def check(self, field: str, holds: bool, message: str) -> None:
        """Note `message` unless it holds."""
        if not holds:
            self.add(field, message)

    @contextmanager
    @staticmethod
    def raised_as(error: type[ValidationFailed]) -> Iterator["Problems"]:
        """Collect inside the block and raise `error` at its end when there are any."""
        problems = Problems()
        yield problems
        if problems.found:
            raise error(problems.found)


def checked_text(
    problems: Problems, field: str, text: str, *, most: int, least: int = 0, lines: bool = False
) -> str:
    """Return the text trimmed; `lines` allows line breaks and tabs.

    NUL cannot be stored by PostgreSQL and lone surrogates have no UTF-8 form; other
    control characters would break e-mail headers and tickets.
    """
    text = text.strip()
    if len(text) < least:
        problems.add(field, "must not be empty" if least == 1 else f"needs {least} characters")
    elif len(text) > most:
        problems.add(field, f"must have at most {most} characters")
    elif any(_is_unprintable(character, lines=lines) for character in text):
        problems.add(field, "must not contain control characters")
    return text


def _is_unprintable(character: str, *, lines: bool) -> bool:
    if lines and character in _LINE_BREAKS:
        return False
    return unicodedata.category(character) in _UNPRINTABLE


def checked_details(
    problems: Problems, details: EventDetails, *, not_before: datetime | None
) -> EventDetails:
    """Check all fields; return them trimmed. The start may not be before `not_before`."""
    problems.check("currency", details.currency in KNOWN_CURRENCIES, "is not an ISO 4217 code")
    problems.check("timezone", details.timezone in KNOWN_ZONES, "is not an IANA time zone")
    starts_at, ends_at = details.starts_at, details.ends_at
    if not_before is not None and starts_at < not_before:
        problems.add("startAt", "must not be in the past")
    problems.check("startAt", starts_at < END_OF_TIME, "must be before the year 3000")
    problems.check("endAt", ends_at > starts_at, "must be after startAt")
    problems.check("endAt", ends_at <= END_OF_TIME, "must be before the year 3000")
    _check_max_per_buyer(problems, "maxPerBuyer", details.max_per_buyer)
    return replace(
        details,
        name=checked_text(problems, "name", details.name, least=1, most=MAX_NAME),
        description=checked_text(
            problems, "description", details.description, most=MAX_DESCRIPTION, lines=True
        ),
        location=checked_text(problems, "location", details.location, most=MAX_LOCATION),
    )


def checked_ticket_type(
    problems: Problems, draft: TicketTypeDraft, ticket_type_id: UUID, prefix: str
) -> TicketType:
    """Check one ticket type; its fields are reported below `prefix` ("ticketTypes[0].")."""
    name = checked_text(problems, f"{prefix}name", draft.name, least=1, most=MAX_TICKET_TYPE_NAME)
    problems.check(f"{prefix}price", draft.price >= 0, "must not be negative")
    problems.check(f"{prefix}price", draft.price <= MAX_PRICE, f"must be at most {MAX_PRICE}")
    problems.check(f"{prefix}capacity", draft.capacity >= 1, "must be at least 1")
    problems.check(
        f"{prefix}capacity", draft.capacity <= MAX_CAPACITY, f"must be at most {MAX_CAPACITY}"
    )
    problems.check(
        f"{prefix}maxPerBooking",
        1 <= draft.max_per_booking <= MAX_PER_BOOKING,
        f"must be from 1 to {MAX_PER_BOOKING}",
    )
    _check_max_per_buyer(problems, f"{prefix}maxPerBuyer", draft.max_per_buyer)
    return TicketType(
        ticket_type_id,
        name,
        draft.price,
        draft.capacity,
        draft.max_per_booking,
        draft.max_per_buyer,
    )


def _check_max_per_buyer(problems: Problems, field: str, limit: int) -> None:
    problems.check(
        field, 0 <= limit <= MAX_PER_BUYER, f"must be from 1 to {MAX_PER_BUYER}, or 0 for no limit"
    )


def checked_ticket_types(
    problems: Problems,
    drafts: Sequence[TicketTypeDraft],
    existing: Mapping[str, UUID],
    new_id: Callable[[], UUID],
) -> tuple[TicketType, ...]:
    """Check a whole list; a draft with an id must name one of `existing` (id text to id), once."""
    if not 1 <= len(drafts) <= MAX_TICKET_TYPES:
        problems.add("ticketTypes", f"must have 1 to {MAX_TICKET_TYPES} entries")
        return ()
    checked: list[TicketType] = []
    names: set[str] = set()
    unclaimed = dict(existing)
    for index, draft in enumerate(drafts):
        prefix = f"ticketTypes[{index}]."
        ticket_type_id = unclaimed.pop(draft.id.lower(), None) if draft.id else new_id()
        if ticket_type_id is None:
            again = draft.id.lower() in existing
            problems.add(f"{prefix}id", "is listed twice" if again else "is not of this event")
            ticket_type_id = new_id()
        ticket_type = checked_ticket_type(problems, draft, ticket_type_id, prefix)
        if ticket_type.name.casefold() in names:
            problems.add(f"{prefix}name", "is used by another ticket type of this event")
        names.add(ticket_type.name.casefold())
        checked.append(ticket_type)
    return tuple(checked)
