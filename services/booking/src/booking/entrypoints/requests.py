"""Protobuf requests as values of the domain. An unreadable field is rejected by name."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar
from uuid import UUID

from goticket.booking.v1 import booking_pb2 as pb
from goticket.common.v1 import common_pb2
from goticket_kernel.actor import Actor
from goticket_kernel.errors import DomainError, FieldError
from goticket_platform.cursors import InvalidCursor, decode_cursor, encode_cursor
from goticket_platform.ids import parse_id

from booking.domain.booking import BookingStatus
from booking.domain.booking_creation import CommandLine, CreateBookingCommand
from booking.domain.errors import EventNotFound, InvalidBooking, UnknownTicketType
from booking.wire import BOOKING_STATUS

ItemT = TypeVar("ItemT")

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
MAX_EVENTS = 200
"""Most events in one request for availability."""

_STATUS = {number: status for status, number in BOOKING_STATUS.items()}


def id_of(text: str, otherwise: type[DomainError]) -> UUID:
    """Parse an id; raise `otherwise` if the text is not an id."""
    try:
        return parse_id(text)
    except ValueError:
        raise otherwise from None


def actor_of(message: common_pb2.Actor) -> Actor:
    """Read the actor.

    Raises:
        InvalidBooking: the user id is not a UUID.
    """
    try:
        user_id = parse_id(message.user_id)
    except ValueError:
        problem = FieldError("actor.userId", "Must be a UUID.")
        raise InvalidBooking(fields=[problem]) from None
    return Actor(user_id, frozenset(message.roles), message.email, message.name)


def command_of(request: pb.CreateBookingRequest) -> CreateBookingCommand:
    """Read the command to create a booking.

    Raises:
        EventNotFound: the event's id is not a UUID.
        InvalidBooking: the actor cannot be read.
        UnknownTicketType: a ticket type's id is not a UUID.
    """
    return CreateBookingCommand(
        event_id=id_of(request.event_id, EventNotFound),
        buyer=actor_of(request.actor),
        lines=tuple(_line_of(index, line) for index, line in enumerate(request.lines)),
        hold=request.hold,
        idempotency_key=request.idempotency_key or None,
    )


def has_only_quantity(request: pb.CreateBookingRequest) -> bool:
    """Return whether the buyer gave a quantity without a list of items."""
    return len(request.lines) == 1 and not request.lines[0].ticket_type_id


def event_ids_of(texts: Sequence[str]) -> list[UUID]:
    """Parse ids of events; leave out texts that are not ids.

    Raises:
        InvalidBooking: more than MAX_EVENTS ids.
    """
    if len(texts) > MAX_EVENTS:
        problem = FieldError("eventIds", f"Must have at most {MAX_EVENTS} entries.")
        raise InvalidBooking(fields=[problem])
    event_ids = []
    for text in texts:
        with suppress(ValueError):
            event_ids.append(parse_id(text))
    return event_ids


def limit_of(limit: int) -> int:
    """Read a page size; 0 means DEFAULT_LIMIT.

    Raises:
        InvalidBooking: the limit is not 1 to MAX_LIMIT.
    """
    if not 0 <= limit <= MAX_LIMIT:
        raise InvalidBooking(fields=[FieldError("limit", f"Must be from 1 to {MAX_LIMIT}.")])
    return limit or DEFAULT_LIMIT


def before_of(cursor: str) -> UUID | None:
    """Read the id that a page begins after.

    Raises:
        InvalidBooking: the text is not a cursor of this service.
    """
    if not cursor:
        return None
    try:
        [last_id] = decode_cursor(cursor, 1)
        return parse_id(last_id)
    except (InvalidCursor, ValueError):
        problem = FieldError("cursor", "Is not a cursor of this list.")
        raise InvalidBooking(fields=[problem]) from None


def page_of(
    found: Sequence[ItemT], limit: int, item_id: Callable[[ItemT], UUID]
) -> tuple[Sequence[ItemT], str]:
    """Return a page of `limit` items and the cursor of the next page, empty on the last one.

    `found` has one item more than the page if there is a next page.
    """
    if len(found) <= limit:
        return found, ""
    return found[:limit], encode_cursor(str(item_id(found[limit - 1])))


def status_of(number: pb.BookingStatus.ValueType) -> BookingStatus | None:
    """Read a status; None for any.

    Raises:
        InvalidBooking: the number is not a known status.
    """
    if number == pb.BOOKING_STATUS_UNSPECIFIED:
        return None
    if number not in _STATUS:
        raise InvalidBooking(fields=[FieldError("status", "Is not a booking status.")])
    return _STATUS[number]


def _line_of(index: int, line: pb.BookingLine) -> CommandLine:
    if not line.ticket_type_id:
        return CommandLine(None, line.quantity)
    try:
        return CommandLine(parse_id(line.ticket_type_id), line.quantity)
    except ValueError:
        problem = FieldError(
            f"lines[{index}].ticket_type_id", "Is not a ticket type of this event."
        )
        raise UnknownTicketType(fields=[problem]) from None
