"""Failures of the SMTP server, of the address and of the booking service."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import asyncpg
import grpc
import pytest
from goticket.booking.v1.notification_data_pb2 import BookingDetails
from goticket_contracts.event_types import (
    BOOKING_CANCELLED,
    BOOKING_CONFIRMED,
)
from goticket_platform.messaging.consumer import ReceivedMessage
from notification.attempt_outcome import MAX_FAILURES

# Defined in conftest.py; test folders are not packages to import from.
ScriptedSmtpServer = Any
ScriptedBookingService = Any
Worker = Any
MakeDetails = Callable[..., BookingDetails]
MakeMessage = Callable[..., ReceivedMessage]

ATTEMPTS_THAT_MAY_NOT_EXHAUST = MAX_FAILURES + 2


async def test_an_email_deferred_by_the_server_is_sent_by_a_later_attempt(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    smtp.data.extend(["451 4.3.0 Try again later"] * ATTEMPTS_THAT_MAY_NOT_EXHAUST)

    await worker.handle(message)
    deferred = await worker.delivery(message)
    while smtp.data:
        await worker.end_waits()
        await worker.send_pending()
    await worker.end_waits()
    await worker.send_pending()
    sent = await worker.delivery(message)

    assert deferred["status"] == "deferred"
    assert "Try again later" in deferred["reason"]
    assert (sent["status"], sent["reason"], sent["failures"]) == ("sent", None, 0)
    assert sent["attempts"] == ATTEMPTS_THAT_MAY_NOT_EXHAUST + 1
    assert len(smtp.messages) == 1


async def test_waits_grow_with_the_attempts(
    pool: asyncpg.Pool,
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    smtp.data.extend(["451 4.3.0 Try again later"] * 3)
    await worker.accept(make_message(BOOKING_CONFIRMED, add_booking()))
    waits = []
    for _ in range(3):
        await worker.send_pending()
        [row] = await pool.fetch("SELECT due_at - updated_at AS wait FROM notification.deliveries")
        waits.append(row["wait"])
        await worker.end_waits()

    near = timedelta(seconds=0.5)
    for wait, seconds in zip(waits, (1, 5, 30), strict=True):
        assert abs(wait - timedelta(seconds=seconds)) < near


@pytest.mark.parametrize("failures", [1, ATTEMPTS_THAT_MAY_NOT_EXHAUST])
async def test_without_an_smtp_server_the_delivery_is_deferred_however_long_it_lasts(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
    failures: int,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    await worker.accept(message)
    smtp.stop()

    for _ in range(failures):
        await worker.send_pending()
        stored = await worker.delivery(message)
        assert (stored["status"], stored["failures"]) == ("deferred", 0)
        assert worker.pause.is_outage
        await worker.end_waits()
    await smtp.start()
    await worker.send_pending()

    assert len(smtp.messages) == 1
    assert not worker.pause.is_outage


async def test_any_answer_of_the_smtp_server_ends_an_outage(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    for reply in ("550 5.1.1 No such user", "450 4.2.1 Mailbox busy"):
        smtp.stop()
        await worker.handle(make_message(BOOKING_CONFIRMED, add_booking()))
        assert worker.pause.is_outage
        await smtp.start()
        smtp.rcpt.append(reply)

        await worker.handle(make_message(BOOKING_CONFIRMED, add_booking()))

        assert not worker.pause.is_outage


async def test_a_refused_email_is_not_sent_by_a_redelivered_message(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    smtp.rcpt.append("550 5.1.1 No such user")

    await worker.handle(message)
    await worker.handle(message)

    refused = await worker.delivery(message)
    assert (refused["status"], refused["attempts"]) == ("refused", 1)
    assert "No such user" in refused["reason"]
    assert not smtp.messages


@pytest.mark.parametrize(
    ("details", "reason"),
    [({"email": "nobody"}, "malformed"), ({"tickets": 0}, "no valid tickets")],
)
async def test_malformed_data_is_refused_at_once(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
    details: dict[str, object],
    reason: str,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking(**details))

    await worker.handle(message)

    stored = await worker.delivery(message)
    assert stored["status"] == "refused"
    assert reason in stored["reason"]
    assert not smtp.messages


async def test_an_smtp_dialogue_that_takes_too_long_is_an_outage(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    smtp.may_reply.clear()
    worker.attempt_seconds = 0.3

    await worker.handle(message)
    stored = await worker.delivery(message)
    assert (stored["status"], stored["failures"]) == ("deferred", 0)
    smtp.may_reply.set()
    worker.attempt_seconds = 30.0
    await worker.end_waits()
    await worker.send_pending()

    # On a busy machine the first attempt may end before the server has the e-mail.
    assert set(smtp.message_ids) == {f"<{message.id}@goticket.example>"}
    assert (await worker.delivery(message))["status"] == "sent"


async def test_the_wait_for_a_connection_uses_up_no_time_of_the_attempt(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    worker.attempt_seconds = 5.0
    worker.connections = asyncio.Semaphore(0)
    message = make_message(BOOKING_CONFIRMED, add_booking())
    await worker.accept(message)
    sending = asyncio.create_task(worker.send_pending())
    async with asyncio.timeout(30):
        while (await worker.delivery(message))["status"] != "claimed":
            await asyncio.sleep(0.01)
    worker.attempt_seconds = 0.0  # time that the attempt would have lost by waiting

    worker.connections.release()
    await sending

    assert len(smtp.messages) == 1


@pytest.mark.parametrize(
    "status",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
    ],
)
async def test_a_failing_booking_service_never_refuses_a_delivery(
    smtp: ScriptedSmtpServer,
    booking_service: ScriptedBookingService,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
    status: grpc.StatusCode,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    await worker.accept(message)

    for _ in range(ATTEMPTS_THAT_MAY_NOT_EXHAUST):
        booking_service.failures.extend([status] * 3)
        await worker.send_pending()
        stored = await worker.delivery(message)
        assert (stored["status"], stored["failures"]) == ("deferred", 0)
        booking_service.failures.clear()
        await worker.end_waits()
    await worker.send_pending()

    assert len(smtp.messages) == 1


async def test_an_unexpected_error_never_refuses_a_delivery(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    class OutOfMemory:
        async def render(self, *_arguments: object) -> None:
            raise MemoryError

    message = make_message(BOOKING_CONFIRMED, add_booking())
    await worker.accept(message)
    renderer, worker.renderer = worker.renderer, OutOfMemory()
    for _ in range(ATTEMPTS_THAT_MAY_NOT_EXHAUST):
        await worker.send_pending()
        await worker.end_waits()
    worker.renderer = renderer
    await worker.send_pending()

    assert len(smtp.messages) == 1


async def test_an_unknown_booking_is_retried_and_then_refused(
    smtp: ScriptedSmtpServer,
    booking_service: ScriptedBookingService,
    worker: Worker,
    make_details: MakeDetails,
    make_message: MakeMessage,
) -> None:
    late, never = make_details(), make_details()
    messages = [make_message(BOOKING_CONFIRMED, each) for each in (late, never)]
    await worker.handle(*messages)
    assert not smtp.messages
    booking_service.add(late)

    for attempt in range(1, MAX_FAILURES):
        assert (await worker.delivery(messages[1]))["failures"] == attempt
        await worker.end_waits()
        await worker.send_pending()

    assert (await worker.delivery(messages[0]))["status"] == "sent"
    assert (await worker.delivery(messages[1]))["status"] == "refused"


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

    await worker.handle(message)

    stored = await worker.delivery(message)
    assert stored["status"] == "deferred"
    assert "version 2" in stored["reason"]
    assert not smtp.messages
