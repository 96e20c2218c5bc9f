"""A process is killed at a certain step, and another one takes over."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from goticket.booking.v1.notification_data_pb2 import BookingDetails
from goticket_contracts.event_types import (
    BOOKING_CANCELLED,
    BOOKING_CONFIRMED,
)
from goticket_platform.messaging.consumer import ReceivedMessage
from notification.bookings import Notification
from notification.delivery_queue import Delivery, DeliveryQueue, Outcome
from notification.email_rendering import Email
from notification.smtp_client import SmtpMailer

# Defined in conftest.py; test folders are not packages to import from.
ScriptedSmtpServer = Any
ScriptedBookingService = Any
Worker = Any
MakeDetails = Callable[..., BookingDetails]
MakeMessage = Callable[..., ReceivedMessage]


class Killed(BaseException):
    """Simulates the end of the process at this step."""


class KilledBeforeRendering:
    """Simulates a process that is killed after it has read the booking."""

    async def render(self, _notification: Notification, _message_id: UUID, _now: datetime) -> Email:
        """Never return."""
        raise Killed


class KilledBeforeSending:
    """Simulates a process that is killed just before it sends."""

    async def send(self, _email: Email) -> None:
        """Never return."""
        raise Killed


class KilledAfterSending:
    """Simulates a process that is killed when the SMTP server has accepted the e-mail."""

    def __init__(self, mailer: SmtpMailer) -> None:
        self._mailer = mailer

    async def send(self, email: Email) -> None:
        """Send, and never return."""
        await self._mailer.send(email)
        raise Killed


class KilledAfterRecording:
    """Simulates a process that is killed when it has recorded the outcome."""

    def __init__(self, queue: DeliveryQueue) -> None:
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    async def record(self, delivery: Delivery, outcome: Outcome) -> None:
        """Record, and never return."""
        await self._queue.record(delivery, outcome)
        raise Killed


class KilledAfterClaiming:
    """Simulates a process that is killed when it has the lease."""

    async def get(self, _key: object) -> BookingDetails:
        """Never return."""
        raise Killed


@pytest.mark.parametrize(
    ("part", "replacement", "status"),
    [
        ("bookings", KilledAfterClaiming, "claimed"),
        ("renderer", KilledBeforeRendering, "claimed"),
        ("mailer", KilledBeforeSending, "sending"),
    ],
)
async def test_an_email_is_sent_after_a_crash_when_the_lease_has_expired(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
    part: str,
    replacement: Callable[[], object],
    status: str,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    intact = getattr(worker, part)
    setattr(worker, part, replacement())
    with pytest.raises(Killed):
        await worker.handle(message)
    setattr(worker, part, intact)
    assert (await worker.delivery(message))["status"] == status

    await worker.handle(message)
    assert not smtp.messages
    await worker.end_waits()
    await worker.send_pending()

    assert smtp.message_ids == [f"<{message.id}@goticket.example>"]
    assert (await worker.delivery(message))["attempts"] == 2


async def test_a_crash_after_the_servers_acceptance_repeats_the_same_message_id(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    intact = worker.mailer
    worker.mailer = KilledAfterSending(intact)
    with pytest.raises(Killed):
        await worker.handle(message)
    worker.mailer = intact

    await worker.end_waits()
    await worker.send_pending()
    await worker.handle(message)

    assert smtp.message_ids == [f"<{message.id}@goticket.example>"] * 2


async def test_a_crash_after_the_record_repeats_nothing(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    intact = worker.queue
    worker.queue = KilledAfterRecording(intact)
    with pytest.raises(Killed):
        await worker.handle(message)
    worker.queue = intact

    await worker.end_waits()
    await worker.handle(message)

    assert len(smtp.messages) == 1


async def test_a_connection_waits_for_the_record_of_its_email(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    """Bounds what a crash repeats: one accepted and unrecorded e-mail per connection."""
    worker.connections = asyncio.Semaphore(3)
    worker.queue = KilledAfterRecording(worker.queue)
    worker.queue.record = never_recorded
    await worker.accept(*(make_message(BOOKING_CONFIRMED, add_booking()) for _ in range(10)))
    sending = asyncio.create_task(worker.send_pending())

    async with asyncio.timeout(30):
        while len(smtp.messages) < 3:
            await asyncio.sleep(0.01)
    done, _ = await asyncio.wait([sending], timeout=0.3)
    sending.cancel()
    await asyncio.wait([sending])

    assert not done
    assert len(smtp.messages) == 3


async def never_recorded(_delivery: Delivery, _outcome: Outcome) -> None:
    """Wait forever, as for a server that does not answer."""
    await asyncio.Event().wait()


async def test_a_crash_does_not_delay_a_later_email_about_the_booking(
    smtp: ScriptedSmtpServer,
    booking_service: ScriptedBookingService,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    details = add_booking()
    confirmation = make_message(BOOKING_CONFIRMED, details)
    intact = worker.mailer
    worker.mailer = KilledBeforeSending()
    with pytest.raises(Killed):
        await worker.handle(confirmation)
    worker.mailer = intact

    await worker.accept(make_message(BOOKING_CANCELLED, booking_service.cancel(details)))
    await worker.end_waits()
    await worker.send_pending()

    (email,) = smtp.messages
    assert email["Subject"].startswith("Cancelled")
    assert (await worker.delivery(confirmation))["status"] == "superseded"


async def test_a_stopping_worker_leaves_what_it_has_not_begun_to_others(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    worker.is_stopping = True
    await worker.handle(message)
    assert (await worker.delivery(message))["status"] == "pending"
    assert not smtp.messages
