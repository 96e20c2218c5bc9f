"""Payloads of booking's integration events as protobuf-JSON, without protobuf's encoder.

`MessageToJson` reads descriptors for every field; this costs a thirtieth of that, and
the inventory is locked meanwhile. A test compares both.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from goticket.booking.v1 import events_pb2
from goticket_contracts import event_types

from booking.domain.booking import (
    Booking,
    BookingCancelled,
    BookingChange,
    BookingConfirmed,
    BookingHeld,
    CancellationReason,
)
from booking.wire import CANCELLATION_REASON, TIMESTAMP_CACHE_SIZE

_REASON: dict[CancellationReason, str] = {
    reason: events_pb2.CancellationReason.Name(number)
    for reason, number in CANCELLATION_REASON.items()
}
_MILLISECOND = 1_000
"""In microseconds."""

Json = dict[str, Any]


def event_type(change: BookingChange) -> str:
    """Return the CloudEvents type of a change of a booking."""
    match change:
        case BookingHeld():
            return event_types.BOOKING_HELD
        case BookingConfirmed():
            return event_types.BOOKING_CONFIRMED
        case BookingCancelled():
            return event_types.BOOKING_CANCELLED
        case _:
            return event_types.BOOKING_EXPIRED


def payload_json(change: BookingChange, organizer_id: str) -> Json:
    """Return the payload of a change. It has no personal data and no ticket codes."""
    payload: Json = {"booking": _booking_state(change.booking, organizer_id)}
    if isinstance(change, BookingCancelled):
        payload["reason"] = _REASON[change.reason]
    return payload


def _booking_state(booking: Booking, organizer_id: str) -> Json:
    return _without_defaults(
        {
            "id": str(booking.id),
            "eventId": str(booking.event_id),
            "organizerId": organizer_id,
            "userId": str(booking.user_id),
            "lines": [
                _without_defaults(
                    {
                        "ticketTypeId": str(item.ticket_type_id),
                        "quantity": item.quantity,
                        "unitPrice": _int64(item.unit_price),
                    }
                )
                for item in booking.items
            ],
            "total": _int64(booking.total),
            "currency": booking.currency,
            "ticketIds": [str(ticket.id) for ticket in booking.tickets],
            "createdAt": timestamp_json(booking.created_at),
            "expiresAt": timestamp_json(booking.expires_at),
            "confirmedAt": timestamp_json(booking.confirmed_at),
            "closedAt": timestamp_json(booking.closed_at),
            "version": _int64(booking.version),
        }
    )


def _without_defaults(fields: Json) -> Json:
    """Leave out values that proto3 does not write: empty texts and lists, zeroes, messages."""
    return {name: value for name, value in fields.items() if value}


def _int64(number: int) -> str:
    """Write a 64-bit number as text, as protobuf-JSON does; nothing for 0."""
    return str(number) if number else ""


@lru_cache(maxsize=TIMESTAMP_CACHE_SIZE)
def timestamp_json(when: datetime | None) -> str | None:
    """Write a time as protobuf-JSON does: UTC, with 0, 3 or 6 digits of fraction."""
    if when is None:
        return None
    utc = when.astimezone(UTC).replace(tzinfo=None)
    micros = utc.microsecond
    spec = "seconds" if not micros else "microseconds" if micros % _MILLISECOND else "milliseconds"
    return utc.isoformat(timespec=spec) + "Z"
