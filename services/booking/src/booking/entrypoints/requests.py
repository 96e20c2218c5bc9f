"""Protobuf requests as values of the domain; what cannot be read is refused by name."""

from collections.abc import Mapping
from uuid import UUID

from goticket.booking.v1 import booking_pb2 as pb
from goticket.common.v1 import common_pb2
from goticket_platform.cursors import InvalidCursor, decode_cursor, encode_cursor
from goticket_platform.ids import parse_id

from booking.domain.actor import Actor
from booking.domain.booking import BookingStatus
from booking.domain.errors import (
    DomainError,
    FieldError,
    InvalidBooking,
    UnknownTicketType,
)
from booking.domain.placing import BookingRequest, Line
from booking.wire import BOOKING_STATUS

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

_STATUS = {number: status for status, number in BOOKING_STATUS.items()}


def id_of(text: str, otherwise: type[DomainError]) -> UUID:
    """Read an id; raise `otherwise` when nothing can have it."""
    try:
        return parse_id(text)
    except ValueError:
        raise otherwise from None


def actor_of(message: common_pb2.Actor) -> Actor:
    """Read who asks.

    Raises:
        InvalidBooking: nobody that could be.
    """
    try:
        user_id = parse_id(message.user_id)
    except ValueError:
        problem = FieldError("actor.userId", "Must be a UUID.")
        raise InvalidBooking(fields=[problem]) from None
    return Actor(user_id, message.email, message.name, frozenset(message.roles))


def booking_request_of(
    request: pb.CreateBookingRequest, trace: Mapping[str, str]
) -> BookingRequest:
    """Read what a buyer asks for; `trace` are the headers of the call's trace.

    Raises:
        InvalidBooking: no actor.
        UnknownTicketType: an id that no ticket type can have.
    """
    return BookingRequest(
        buyer=actor_of(request.actor),
        lines=tuple(_line_of(index, line) for index, line in enumerate(request.lines)),
        hold=request.hold,
        key=request.idempotency_key or None,
        trace=trace,
    )


def limit_of(limit: int) -> int:
    """Read a page size; 0 means DEFAULT_LIMIT.

    Raises:
        InvalidBooking: not 1 to MAX_LIMIT.
    """
    if not 0 <= limit <= MAX_LIMIT:
        raise InvalidBooking(fields=[FieldError("limit", f"Must be from 1 to {MAX_LIMIT}.")])
    return limit or DEFAULT_LIMIT


def before_of(cursor: str) -> UUID | None:
    """Read where a page begins.

    Raises:
        InvalidBooking: not a cursor of ours.
    """
    if not cursor:
        return None
    try:
        [last_id] = decode_cursor(cursor, 1)
        return parse_id(last_id)
    except (InvalidCursor, ValueError):
        problem = FieldError("cursor", "Is not a cursor of this list.")
        raise InvalidBooking(fields=[problem]) from None


def next_cursor(last_ids: list[UUID], limit: int) -> str:
    """Make the cursor behind a page; empty when the page is not full."""
    return encode_cursor(str(last_ids[-1])) if len(last_ids) == limit else ""


def status_of(number: pb.BookingStatus.ValueType) -> BookingStatus | None:
    """Read a status; None for any.

    Raises:
        InvalidBooking: no status we know.
    """
    if number == pb.BOOKING_STATUS_UNSPECIFIED:
        return None
    if number not in _STATUS:
        raise InvalidBooking(fields=[FieldError("status", "Is not a booking status.")])
    return _STATUS[number]


def _line_of(index: int, line: pb.BookingLine) -> Line:
    if not line.ticket_type_id:
        return Line(None, line.quantity)
    try:
        return Line(parse_id(line.ticket_type_id), line.quantity)
    except ValueError:
        name = f"items[{index}].ticketTypeId"
        problem = FieldError(name, "Is not a ticket type of this event.")
        raise UnknownTicketType(fields=[problem]) from None
