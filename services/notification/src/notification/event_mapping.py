"""Maps booking's integration events to the e-mails that they request."""

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from goticket.booking.v1 import events_pb2
from goticket_contracts import event_types
from goticket_platform.messaging.consumer import NonRetryableError, ReceivedMessage

from notification.bookings import NotificationKind, NotificationRequest

_REASONS: Mapping[int, str] = MappingProxyType(
    {
        events_pb2.CANCELLATION_REASON_BY_BUYER: "You asked us to cancel it.",
        events_pb2.CANCELLATION_REASON_BY_ORGANIZER: "The organizer cancelled it.",
        events_pb2.CANCELLATION_REASON_EVENT_CANCELLED: "The event has been cancelled.",
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
            reason = _REASONS.get(cancelled.reason, "")
            return _request(message, NotificationKind.CANCELLATION, cancelled.booking, reason)
        case event_types.BOOKING_EXPIRED:
            expired = message.parse(events_pb2.BookingExpired)
            return _request(message, NotificationKind.EXPIRY, expired.booking)
        case _:
            return None


def _request(
    message: ReceivedMessage,
    kind: NotificationKind,
    booking: events_pb2.BookingState,
    reason: str = "",
) -> NotificationRequest:
    try:
        event_id, booking_id = UUID(booking.event_id), UUID(booking.id)
    except ValueError as error:
        raise NonRetryableError("the payload has no valid booking id and event id") from error
    return NotificationRequest(message.id, kind, event_id, booking_id, booking.version, reason)
