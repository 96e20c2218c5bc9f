"""Several e-mails about one booking."""

import asyncio
from collections.abc import Callable
from typing import Any

from goticket.booking.v1.notification_data_pb2 import BookingDetails
from goticket_contracts.event_types import (
    BOOKING_CANCELLED,
    BOOKING_CONFIRMED,
)
from goticket_platform.messaging.consumer import ReceivedMessage

# Defined in conftest.py; test folders are not packages to import from.
ScriptedSmtpServer = Any
ScriptedBookingService = Any
Worker = Any
MakeDetails = Callable[..., BookingDetails]
MakeMessage = Callable[..., ReceivedMessage]


async def test_tickets_are_superseded_when_the_booking_was_cancelled_meanwhile(
    smtp: ScriptedSmtpServer,
    booking_service: ScriptedBookingService,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    details = add_booking()
    confirmation = make_message(BOOKING_CONFIRMED, details)
    cancellation = make_message(BOOKING_CANCELLED, booking_service.cancel(details))

    await worker.handle(confirmation)
    assert not smtp.messages
    await worker.handle(cancellation)

    (email,) = smtp.messages
    assert email["Subject"].startswith("Cancelled")
    assert (await worker.delivery(confirmation))["status"] == "superseded"


async def test_tickets_are_not_sent_after_the_cancellation_was(
    smtp: ScriptedSmtpServer,
    booking_service: ScriptedBookingService,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    details = add_booking()
    confirmation = make_message(BOOKING_CONFIRMED, details)
    await worker.handle(make_message(BOOKING_CANCELLED, booking_service.cancel(details)))

    await worker.handle(confirmation)

    assert len(smtp.messages) == 1
    assert (await worker.delivery(confirmation))["status"] == "superseded"


async def test_tickets_and_then_the_cancellation_are_both_sent(
    smtp: ScriptedSmtpServer,
    booking_service: ScriptedBookingService,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    details = add_booking()
    await worker.handle(make_message(BOOKING_CONFIRMED, details))
    await worker.handle(make_message(BOOKING_CANCELLED, booking_service.cancel(details)))

    subjects = [message["Subject"].split()[0] for message in smtp.messages]
    assert subjects == ["Your", "Cancelled:"]


async def test_the_cancellation_waits_while_the_tickets_are_being_sent(
    smtp: ScriptedSmtpServer,
    booking_service: ScriptedBookingService,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    details = add_booking()
    smtp.may_reply.clear()
    sending = asyncio.create_task(worker.handle(make_message(BOOKING_CONFIRMED, details)))
    await asyncio.wait_for(smtp.data_received.wait(), 30)
    cancellation = make_message(BOOKING_CANCELLED, booking_service.cancel(details))

    await worker.handle(cancellation)
    assert (await worker.delivery(cancellation))["status"] == "pending"
    smtp.may_reply.set()
    await sending
    await worker.send_pending()

    subjects = [message["Subject"].split()[0] for message in smtp.messages]
    assert subjects == ["Your", "Cancelled:"]
