"""Maps booking's integration events to the e-mails that they request."""

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from goticket.booking.v1 import events_pb2
from goticket_contracts import event_types
from goticket_platform.messaging.consumer import NonRetryableError, ReceivedMessage
from goticket_platform.telemetry import inject_context

from notification.bookings import CancellationCause, NotificationKind, NotificationRequest

TRACEPARENT = "traceparent"
"""Name of the W3C trace header."""

_CAUSES: Mapping[int, CancellationCause] = MappingProxyType(
    {
        events_pb2.CANCELLATION_REASON_BY_BUYER: CancellationCause.BY_BUYER,
        events_pb2.CANCELLATION_REASON_BY_ORGANIZER: CancellationCause.BY_ORGANIZER,
        events_pb2.CANCELLATION_REASON_EVENT_CANCELLED: CancellationCause.EVENT_CANCELLED,
    }
)


def map_message(message: ReceivedMessage) -> NotificationRequest | None:
    """Return the e-mail that the message requests, or None if it requests none.

    Raises:
        NonRetryableError: the payload is malformed.
    """
    match message.type:
        case event_types.BOOKING_CONFIRMED:
            confirmed = message.parse(events_pb2.BookingConfirmed)
            return _request(message, NotificationKind.TICKETS, confirmed.booking)
        case event_types.BOOKING_CANCELLED:
            cancelled = message.parse(events_pb2.BookingCancelled)
            cause = _CAUSES.get(cancelled.reason)
            return _request(message, NotificationKind.CANCELLATION, cancelled.booking, cause)
        case event_types.BOOKING_EXPIRED:
            expired = message.parse(events_pb2.BookingExpired)
            return _request(message, NotificationKind.EXPIRY, expired.booking)
        case _:
            return None


def _request(
    message: ReceivedMessage,
    kind: NotificationKind,
    booking: events_pb2.BookingState,
    cause: CancellationCause | None = None,
) -> NotificationRequest:
    try:
        ids = [UUID(text) for text in (booking.event_id, booking.id, booking.user_id)]
    except ValueError as error:
        raise NonRetryableError("the payload lacks a booking, event or user id") from error
    event_id, booking_id, buyer_id = ids
    return NotificationRequest(
        message_id=message.id,
        kind=kind,
        event_id=event_id,
        booking_id=booking_id,
        booking_version=booking.version,
        buyer_id=buyer_id,
        ticket_count=len(booking.ticket_ids) if kind is NotificationKind.TICKETS else 0,
        cause=cause,
        traceparent=inject_context().get(TRACEPARENT),
    )
