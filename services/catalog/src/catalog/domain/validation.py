"""Rules for the fields of an event. Field errors are collected and raised together."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from goticket_kernel.errors import FieldError
from goticket_kernel.text import (
    DESCRIPTION,
    EVENT_NAME,
    LOCATION,
    TICKET_TYPE_NAME,
    InvalidText,
    TextRule,
    comparison_key,
)
from goticket_kernel.time_zones import TIME_ZONE_NAMES

from catalog.domain.currencies import KNOWN_CURRENCIES
from catalog.domain.errors import ValidationFailed
from catalog.domain.event import EventDetails, TicketType

MAX_TICKET_TYPES = 50
MAX_PRICE = 10**12
"""Minor units."""
MAX_CAPACITY = 10**7
DEFAULT_MAX_PER_BOOKING = 10
MAX_PER_BOOKING = 100
MAX_PER_BUYER = 100_000
LATEST_TIME = datetime(3000, 1, 1, tzinfo=UTC)
"""Later times are typing errors, and some calendar programs cannot store them."""


@dataclass(frozen=True)
class TicketTypeDraft:
    """A ticket type as the organizer writes it; `id` is None for a new one."""

    name: str
    price: int
    capacity: int
    max_per_booking: int = DEFAULT_MAX_PER_BOOKING
    id: UUID | None = None
    max_per_buyer: int = 0


class FieldErrors:
    """Collects field errors in the order in which they are found."""

    def __init__(self) -> None:
        self.found: list[FieldError] = []

    def add(self, field: str, message: str) -> None:
        """Add an error of a field."""
        self.found.append(FieldError(field, message))

    def require(self, condition: bool, field: str, message: str) -> None:
        """Add an error of a field unless the condition holds."""
        if not condition:
            self.add(field, message)

    @contextmanager
    @staticmethod
    def raised_as(error: type[ValidationFailed]) -> Iterator["FieldErrors"]:
        """Collect errors inside the block; raise `error` with them at its end if there are any."""
        errors = FieldErrors()
        yield errors
        if errors.found:
            raise error(fields=errors.found)


def validate_text(errors: FieldErrors, field: str, text: str, rule: TextRule) -> str:
    """Return the text in its stored form, or as it is after adding what is wrong with it."""
    try:
        return rule.prepare(text)
    except InvalidText as error:
        errors.add(field, str(error))
        return text


def validate_details(
    errors: FieldErrors, details: EventDetails, *, not_before: datetime | None
) -> EventDetails:
    """Validate all fields and return them in their stored form.

    `not_before` is the earliest allowed start.
    """
    errors.require(details.currency in KNOWN_CURRENCIES, "currency", "is not an ISO 4217 code")
    errors.require(details.timezone in TIME_ZONE_NAMES, "timezone", "is not an IANA time zone")
    starts_at, ends_at = details.starts_at, details.ends_at
    if not_before is not None and starts_at < not_before:
        errors.add("starts_at", "must not be in the past")
    errors.require(starts_at < LATEST_TIME, "starts_at", "must be before the year 3000")
    errors.require(ends_at > starts_at, "ends_at", "must be after the start")
    errors.require(ends_at <= LATEST_TIME, "ends_at", "must be before the year 3000")
    _validate_max_per_buyer(errors, "max_per_buyer", details.max_per_buyer)
    return replace(
        details,
        name=validate_text(errors, "name", details.name, EVENT_NAME),
        description=validate_text(errors, "description", details.description, DESCRIPTION),
        location=validate_text(errors, "location", details.location, LOCATION),
    )


def validate_ticket_type(
    errors: FieldErrors, draft: TicketTypeDraft, ticket_type_id: UUID, prefix: str
) -> TicketType:
    """Validate one ticket type. `prefix` begins the paths of its fields ("ticket_types[0].")."""
    name = validate_text(errors, f"{prefix}name", draft.name, TICKET_TYPE_NAME)
    errors.require(draft.price >= 0, f"{prefix}price", "must not be negative")
    errors.require(draft.price <= MAX_PRICE, f"{prefix}price", f"must be at most {MAX_PRICE}")
    errors.require(draft.capacity >= 1, f"{prefix}capacity", "must be at least 1")
    errors.require(
        draft.capacity <= MAX_CAPACITY, f"{prefix}capacity", f"must be at most {MAX_CAPACITY}"
    )
    errors.require(
        1 <= draft.max_per_booking <= MAX_PER_BOOKING,
        f"{prefix}max_per_booking",
        f"must be from 1 to {MAX_PER_BOOKING}",
    )
    _validate_max_per_buyer(errors, f"{prefix}max_per_buyer", draft.max_per_buyer)
    return TicketType(
        ticket_type_id,
        name,
        draft.price,
        draft.capacity,
        draft.max_per_booking,
        draft.max_per_buyer,
    )


def _validate_max_per_buyer(errors: FieldErrors, field: str, limit: int) -> None:
    errors.require(
        0 <= limit <= MAX_PER_BUYER, field, f"must be from 1 to {MAX_PER_BUYER}, or 0 for no limit"
    )


def validate_ticket_types(
    errors: FieldErrors,
    drafts: Sequence[TicketTypeDraft],
    existing_ids: Collection[UUID],
    new_id: Callable[[], UUID],
) -> tuple[TicketType, ...]:
    """Validate a whole list. The id of a draft must be one of `existing_ids`, each at most once."""
    if not 1 <= len(drafts) <= MAX_TICKET_TYPES:
        errors.add("ticket_types", f"must have 1 to {MAX_TICKET_TYPES} entries")
        return ()
    validated: list[TicketType] = []
    names: set[str] = set()
    unused_ids = set(existing_ids)
    for index, draft in enumerate(drafts):
        prefix = f"ticket_types[{index}]."
        if draft.id is not None and draft.id not in unused_ids:
            repeated = draft.id in existing_ids
            errors.add(f"{prefix}id", "is listed twice" if repeated else "is not of this event")
        ticket_type_id = draft.id or new_id()
        unused_ids.discard(ticket_type_id)
        ticket_type = validate_ticket_type(errors, draft, ticket_type_id, prefix)
        key = comparison_key(ticket_type.name)
        if key in names:
            errors.add(f"{prefix}name", "is used by another ticket type of this event")
        names.add(key)
        validated.append(ticket_type)
    return tuple(validated)
