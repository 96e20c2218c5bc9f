"""Failures of the SMTP server, of the address and of the booking service."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from goticket.booking.v1.notification_data_pb2 import BookingDetails
from goticket_contracts.event_types import (
    BOOKING_CANCELLED,
    BOOKING_CONFIRMED,
)
from goticket_contracts.topology import NOTIFICATION_EVENTS
from goticket_platform.messaging.consumer import NonRetryableError, ReceivedMessage
from goticket_platform.messaging.retry_decision import decide_retry
from goticket_platform.rpc.errors import RemoteError
from notification.booking_details import BookingNotFound, BookingServiceUnavailable
from notification.email_rendering import InvalidRecipient
from notification.send_notification import AttemptTimeout
from notification.smtp_client import EmailDeferred, SmtpUnavailable

# Defined in conftest.py; test folders are not packages to import from.
ScriptedSmtpServer = Any
ScriptedBookingService = Any
Worker = Any
MakeDetails = Callable[..., BookingDetails]
MakeMessage = Callable[..., ReceivedMessage]


async def test_an_email_deferred_by_the_server_is_sent_by_the_next_attempt(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    smtp.data.append("451 4.3.0 Try again later")

    with pytest.raises(EmailDeferred):
        await worker.handle(message)
    deferred = await worker.delivery(message)
    await worker.handle(message)
    sent = await worker.delivery(message)

    assert deferred["status"] == "deferred"
    assert "Try again later" in deferred["reason"]
    assert (sent["status"], sent["reason"], sent["attempts"]) == ("sent", None, 2)
    assert len(smtp.messages) == 1


async def test_without_an_smtp_server_the_delivery_is_deferred(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    smtp.stop()

    with pytest.raises(SmtpUnavailable):
        await worker.handle(message)
    assert (await worker.delivery(message))["status"] == "deferred"
    await smtp.start()
    await worker.handle(message)

    assert len(smtp.messages) == 1


async def test_a_refused_email_is_not_retried_but_can_be_replayed(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    smtp.rcpt.append("550 5.1.1 No such user")

    with pytest.raises(NonRetryableError, match="No such user"):
        await worker.handle(message)

    refused = await worker.delivery(message)
    assert refused["status"] == "refused"
    assert "No such user" in refused["reason"]
    await worker.handle(message)
    assert (await worker.delivery(message))["status"] == "sent"


async def test_a_malformed_address_is_not_retried(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking(email="nobody"))

    with pytest.raises(InvalidRecipient, match="malformed"):
        await worker.handle(message)

    assert (await worker.delivery(message))["status"] == "refused"
    assert not smtp.messages


async def test_an_attempt_that_takes_too_long_is_deferred_and_counted(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    smtp.may_reply.clear()

    with pytest.raises(AttemptTimeout) as caught:
        await worker.handle(message, attempt_seconds=0.3)
    attempts = len(NOTIFICATION_EVENTS.retry_seconds) + 1
    assert decide_retry(NOTIFICATION_EVENTS, attempts, caught.value).final
    assert (await worker.delivery(message))["status"] == "deferred"
    smtp.may_reply.set()
    await worker.handle(message)

    assert smtp.message_ids == [f"<{message.id}@goticket.example>"] * 2


@pytest.mark.parametrize(
    "status",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    ],
)
async def test_an_outage_defers_the_delivery_and_uses_up_no_attempt(
    smtp: ScriptedSmtpServer,
    booking_service: ScriptedBookingService,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
    status: grpc.StatusCode,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    booking_service.failures.extend([status] * 3)

    with pytest.raises(BookingServiceUnavailable):
        await worker.handle(message)
    assert (await worker.delivery(message))["status"] == "deferred"
    booking_service.failures.clear()
    await worker.handle(message)

    assert len(smtp.messages) == 1


async def test_a_stopped_service_defers_the_delivery(
    smtp: ScriptedSmtpServer,
    booking_service: ScriptedBookingService,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    await booking_service.stop()

    with pytest.raises(BookingServiceUnavailable):
        await worker.handle(message)
    assert (await worker.delivery(message))["status"] == "deferred"
    await booking_service.start()
    async with asyncio.timeout(30):
        while not smtp.messages:
            try:
                await worker.handle(message)
            except BookingServiceUnavailable:  # the channel has not reconnected yet
                await asyncio.sleep(0.05)


async def test_an_internal_error_of_the_service_uses_up_attempts(
    booking_service: ScriptedBookingService,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    booking_service.failures.append(grpc.StatusCode.INTERNAL)

    with pytest.raises(RemoteError):
        await worker.handle(message)


async def test_a_booking_that_is_unknown_yet_is_retried_while_there_are_attempts(
    smtp: ScriptedSmtpServer,
    booking_service: ScriptedBookingService,
    worker: Worker,
    make_details: MakeDetails,
    make_message: MakeMessage,
) -> None:
    details = make_details()
    message = make_message(BOOKING_CONFIRMED, details)

    with pytest.raises(BookingNotFound):
        await worker.handle(message)
    booking_service.add(details)
    await worker.handle(message)

    assert len(smtp.messages) == 1


async def test_a_version_older_than_the_message_is_retried(
    smtp: ScriptedSmtpServer,
    booking_service: ScriptedBookingService,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    details = add_booking(version=1)
    message = make_message(BOOKING_CANCELLED, booking_service.cancel(details))
    booking_service.add(details)

    with pytest.raises(BookingNotFound, match="version 2"):
        await worker.handle(message)

    assert not smtp.messages


async def test_a_confirmed_booking_without_valid_tickets_is_not_retried(
    worker: Worker, add_booking: MakeDetails, make_message: MakeMessage
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking(tickets=0))

    with pytest.raises(NonRetryableError, match="no valid tickets"):
        await worker.handle(message)
