"""A process is killed at a certain step, and its message is delivered again."""

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
from notification.deliveries import Claim, DeliveryInProgress, DeliveryStore, Status
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


class KilledAfterCompleting:
    """Simulates a process that is killed between the record and the acknowledgement."""

    def __init__(self, deliveries: DeliveryStore) -> None:
        self._deliveries = deliveries

    def __getattr__(self, name: str) -> Any:
        return getattr(self._deliveries, name)

    async def complete(self, claim: Claim, status: Status, reason: str | None) -> None:
        """Record, and never return."""
        await self._deliveries.complete(claim, status, reason)
        raise Killed


class KilledAfterClaiming:
    """Simulates a process that is killed when it has the lease."""

    async def get(self, _key: object) -> BookingDetails:
        """Never return."""
        raise Killed


@pytest.mark.parametrize(
    ("part", "replacement"),
    [
        ("bookings", KilledAfterClaiming),
        ("renderer", KilledBeforeRendering),
        ("mailer", KilledBeforeSending),
    ],
)
async def test_an_email_is_sent_after_a_crash_when_the_lease_has_expired(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
    part: str,
    replacement: Callable[[], object],
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    intact = getattr(worker, part)
    setattr(worker, part, replacement())
    with pytest.raises(Killed):
        await worker.handle(message)
    setattr(worker, part, intact)

    with pytest.raises(DeliveryInProgress):
        await worker.handle(message)
    assert not smtp.messages
    await worker.expire_leases()
    await worker.handle(message)

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

    await worker.expire_leases()
    await worker.handle(message)
    await worker.handle(message)

    assert smtp.message_ids == [f"<{message.id}@goticket.example>"] * 2


async def test_a_crash_before_the_acknowledgement_repeats_nothing(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    intact = worker.deliveries
    worker.deliveries = KilledAfterCompleting(intact)
    with pytest.raises(Killed):
        await worker.handle(message)
    worker.deliveries = intact

    await worker.handle(message)

    assert len(smtp.messages) == 1


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
    await worker.expire_leases()

    await worker.handle(make_message(BOOKING_CANCELLED, booking_service.cancel(details)))
    await worker.handle(confirmation)

    (email,) = smtp.messages
    assert email["Subject"].startswith("Cancelled")
    assert (await worker.delivery(confirmation))["status"] == "superseded"
