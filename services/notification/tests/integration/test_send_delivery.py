"""One e-mail per message, with real PostgreSQL, SMTP and gRPC servers."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1.notification_data_pb2 import BookingDetails
from goticket_contracts.event_types import (
    BOOKING_CONFIRMED,
    BOOKING_EXPIRED,
    BOOKING_HELD,
)
from goticket_platform.messaging.consumer import ReceivedMessage

# Defined in conftest.py; test folders are not packages to import from.
ScriptedSmtpServer = Any
ScriptedBookingService = Any
Worker = Any
MakeDetails = Callable[..., BookingDetails]
MakeMessage = Callable[..., ReceivedMessage]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_confirmed_booking_gets_one_email_however_often_the_message_is_delivered(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    details = add_booking(tickets=2)
    message = make_message(BOOKING_CONFIRMED, details)

    for _ in range(3):
        await worker.handle(message)

    (email,) = smtp.messages
    assert email["To"] == "Ada Lovelace <ada@buyers.example>"
    assert email["Message-ID"] == f"<{message.id}@goticket.example>"
    assert len(list(email.iter_attachments())) == 3
    stored = await worker.delivery(message)
    assert str(stored["booking_id"]) == details.booking.id
    assert (stored["status"], stored["kind"], stored["attempts"]) == ("sent", "tickets", 1)
    assert stored["lease_token"] is stored["due_at"] is None


async def test_no_personal_data_is_stored(
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
    caplog: pytest.LogCaptureFixture,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking(name="Ada Lovelace"))
    smtp.rcpt.append("550 5.1.1 <ada@buyers.example> is unknown here")

    await worker.handle(message)

    everything = str(await worker.delivery(message)) + caplog.text
    for secret in ("ada@", "Lovelace", "code-0"):
        assert secret not in everything
        assert secret not in message.payload


async def test_concurrent_duplicates_send_one_email(
    smtp: ScriptedSmtpServer, worker: Worker, add_booking: MakeDetails, make_message: MakeMessage
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    barrier = asyncio.Barrier(8)

    async def deliver() -> None:
        await barrier.wait()
        await worker.handle(message)

    await asyncio.gather(*(deliver() for _ in range(8)))

    assert len(smtp.messages) == 1


async def test_no_database_connection_is_held_while_booking_or_smtp_is_slow(
    pool: asyncpg.Pool,
    smtp: ScriptedSmtpServer,
    booking_service: ScriptedBookingService,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
) -> None:
    booking_service.may_answer.clear()
    smtp.may_reply.clear()
    messages = [make_message(BOOKING_CONFIRMED, add_booking()) for _ in range(6)]
    await worker.accept(*messages)
    sending = asyncio.create_task(worker.send_pending())

    await until(lambda: sum(booking_service.batch_sizes) == 6)
    assert pool.get_idle_size() == pool.get_size()
    booking_service.may_answer.set()
    await until(lambda: len(smtp.messages) == 6)
    assert pool.get_idle_size() == pool.get_size()
    open_transactions = await pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
    )
    smtp.may_reply.set()
    await sending

    assert booking_service.batch_sizes == [6], "one call for all deliveries of a claim"
    assert open_transactions == 0
    assert len(set(smtp.message_ids)) == 6


async def test_a_hold_gets_no_email(
    pool: asyncpg.Pool,
    smtp: ScriptedSmtpServer,
    worker: Worker,
    make_message: MakeMessage,
) -> None:
    await worker.handle(make_message(BOOKING_HELD, payload="{}"))

    assert not smtp.messages
    assert await pool.fetchval("SELECT count(*) FROM notification.deliveries") == 0


async def test_an_expired_hold_is_described_in_its_present_state(
    smtp: ScriptedSmtpServer, worker: Worker, add_booking: MakeDetails, make_message: MakeMessage
) -> None:
    details = add_booking()
    details.booking.status = pb.BOOKING_STATUS_EXPIRED
    details.booking.ClearField("confirmed_at")
    details.booking.ClearField("tickets")

    await worker.handle(make_message(BOOKING_EXPIRED, details))

    (email,) = smtp.messages
    assert email["Subject"] == "Your hold for Metallica Live has expired"


async def test_many_workers_and_redeliveries_send_each_email_once(
    smtp: ScriptedSmtpServer, worker: Worker, add_booking: MakeDetails, make_message: MakeMessage
) -> None:
    messages = [make_message(BOOKING_CONFIRMED, add_booking(tickets=1)) for _ in range(20)]
    barrier = asyncio.Barrier(100)

    async def deliver(message: ReceivedMessage) -> None:
        await barrier.wait()
        await worker.handle(message)

    await asyncio.gather(*(deliver(message) for message in messages for _ in range(5)))
    await worker.send_pending()  # a claim may skip rows that another one has locked

    assert sorted(smtp.message_ids) == sorted(f"<{each.id}@goticket.example>" for each in messages)
