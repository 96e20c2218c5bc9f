"""Booking's messages and the e-mails that they request."""

from collections.abc import Callable
from uuid import UUID

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from goticket.booking.v1 import events_pb2
from goticket.booking.v1.notification_data_pb2 import BookingDetails
from goticket_contracts.event_types import (
    BOOKING_CANCELLED,
    BOOKING_CONFIRMED,
    BOOKING_EXPIRED,
    BOOKING_HELD,
)
from goticket_platform.messaging.consumer import NonRetryableError, ReceivedMessage
from notification.bookings import CancellationCause, NotificationKind
from notification.event_mapping import map_message

MakeDetails = Callable[..., BookingDetails]
MakeMessage = Callable[..., ReceivedMessage]
MakePayload = Callable[[str, BookingDetails], Message]


@pytest.mark.parametrize(
    ("message_type", "kind"),
    [
        (BOOKING_CONFIRMED, NotificationKind.TICKETS),
        (BOOKING_CANCELLED, NotificationKind.CANCELLATION),
        (BOOKING_EXPIRED, NotificationKind.EXPIRY),
    ],
)
def test_a_message_requests_an_email_about_its_booking(
    make_details: MakeDetails, make_message: MakeMessage, message_type: str, kind: NotificationKind
) -> None:
    details = make_details(version=4)
    message = make_message(message_type, details)

    request = map_message(message)

    assert request is not None
    assert (request.message_id, request.kind) == (message.id, kind)
    assert request.booking_id == UUID(details.booking.id)
    assert request.event_id == UUID(details.event.id)
    assert request.booking_version == 4
    assert request.buyer_id == UUID(details.booking.user_id)
    assert request.ticket_count == (2 if kind is NotificationKind.TICKETS else 0)


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (events_pb2.CANCELLATION_REASON_BY_BUYER, CancellationCause.BY_BUYER),
        (events_pb2.CANCELLATION_REASON_BY_ORGANIZER, CancellationCause.BY_ORGANIZER),
        (events_pb2.CANCELLATION_REASON_EVENT_CANCELLED, CancellationCause.EVENT_CANCELLED),
        (events_pb2.CANCELLATION_REASON_UNSPECIFIED, None),
    ],
)
def test_a_cancellation_has_its_cause(
    make_details: MakeDetails,
    make_message: MakeMessage,
    make_payload: MakePayload,
    reason: "events_pb2.CancellationReason.ValueType",
    cause: CancellationCause | None,
) -> None:
    payload = make_payload(BOOKING_CANCELLED, make_details())
    assert isinstance(payload, events_pb2.BookingCancelled)
    payload.reason = reason

    request = map_message(
        make_message(BOOKING_CANCELLED, payload=json_format.MessageToJson(payload))
    )

    assert request is not None
    assert request.cause is cause


@pytest.mark.parametrize(
    "message_type", [BOOKING_HELD, "goticket.booking.booking.refunded.v1", "unknown"]
)
def test_other_messages_request_no_email(make_message: MakeMessage, message_type: str) -> None:
    assert map_message(make_message(message_type, payload="not even JSON")) is None


def test_a_field_of_a_later_release_is_ignored(
    make_details: MakeDetails, make_message: MakeMessage, make_payload: MakePayload
) -> None:
    text = json_format.MessageToJson(make_payload(BOOKING_CONFIRMED, make_details()))
    text = text.replace("{", '{"fromTheFuture": 1,', 1)

    assert map_message(make_message(BOOKING_CONFIRMED, payload=text)) is not None


@pytest.mark.parametrize(
    "payload",
    ["", "not JSON", "[]", '{"booking": 7}', "{}", '{"booking": {"id": "7", "eventId": "8"}}'],
)
def test_a_malformed_payload_is_not_retried(make_message: MakeMessage, payload: str) -> None:
    with pytest.raises(NonRetryableError):
        map_message(make_message(BOOKING_CONFIRMED, payload=payload))
