"""One e-mail per message, with real PostgreSQL, SMTP and gRPC servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1.notification_data_pb2 import BookingDetails
from goticket_contracts.event_types import (
    BOOKING_CANCELLED,
    BOOKING_CONFIRMED,
    BOOKING_EXPIRED,
    BOOKING_HELD,
)
from goticket_platform.messaging.consumer import NonRetryableError, ReceivedMessage
from goticket_platform.rpc.client import open_channel
from goticket_platform.rpc.errors import RemoteError
from notification.booking_details import (
    BookingDetailsClient,
    BookingNotFound,
    BookingServiceUnavailable,
)
from notification.bookings import Notification
from notification.deliveries import Claim, DeliveryInProgress, DeliveryStore, Status
from notification.email_rendering import Email, InvalidRecipient, SenderProfile
from notification.render_pool import RenderPool
from notification.send_notification import send_notification
from notification.smtp_client import (
    EmailDeferred,
    EmailRefused,
    SmtpAccount,
    SmtpMailer,
    SmtpUnavailable,
    Tls,
)

# Defined in conftest.py; test folders are not packages to import from.
ScriptedSmtpServer = Any
ScriptedBookingService = Any
MakeDetails = Callable[..., BookingDetails]
MakeMessage = Callable[..., ReceivedMessage]

LEASE = timedelta(seconds=60)
PROFILE = SenderProfile(Address("GoTicket", "tickets", "goticket.example"), "https://shop.example")


class Killed(BaseException):
    """Stands for the end of the process at this line."""


class Worker:
    """Handles messages as the worker does. Replace a part to make it fail."""

    def __init__(
        self,
        deliveries: DeliveryStore,
        bookings: BookingDetailsClient,
        renderer: RenderPool,
        mailer: SmtpMailer,
    ) -> None:
        self.deliveries: Any = deliveries
        self.bookings: Any = bookings
        self.renderer: Any = renderer
        self.mailer: Any = mailer

    async def handle(self, message: ReceivedMessage, attempt_seconds: float = 30.0) -> None:
        """Handle one message."""
        await send_notification(
            message,
            deliveries=self.deliveries,
            bookings=self.bookings,
            renderer=self.renderer,
            mailer=self.mailer,
            now=lambda: datetime.now(UTC),
            attempt_seconds=attempt_seconds,
        )


@pytest.fixture
async def worker(
    pool: asyncpg.Pool,
    smtp: ScriptedSmtpServer,
    booking_service: ScriptedBookingService,
    booking_token: str,
) -> AsyncIterator[Worker]:
    await smtp.start()
    mailer = SmtpMailer(SmtpAccount(smtp.host, smtp.port, Tls.NONE), connections=8)
    renderer = RenderPool(PROFILE)
    async with open_channel(booking_service.target) as channel:
        bookings = BookingDetailsClient(channel, booking_token)
        yield Worker(DeliveryStore(pool, LEASE), bookings, renderer, mailer)
    await mailer.close()
    await renderer.close()


@pytest.fixture
def add_booking(
    booking_service: ScriptedBookingService, make_details: MakeDetails
) -> Callable[..., BookingDetails]:
    """Creates a confirmed booking that the booking service knows."""

    def add(*arguments: Any, **keywords: Any) -> BookingDetails:
        details = make_details(*arguments, **keywords)
        booking_service.add(details)
        return details

    return add


async def delivery(pool: asyncpg.Pool, message: ReceivedMessage) -> dict[str, Any]:
    row = await pool.fetchrow(
        "SELECT * FROM notification.deliveries WHERE message_id = $1", message.id
    )
    assert row is not None
    return dict(row)


async def expire_leases(pool: asyncpg.Pool) -> None:
    """Let the time pass that the leases of a killed worker last."""
    await pool.execute(
        "UPDATE notification.deliveries SET lease_expires_at = now() WHERE status = 'sending'"
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_confirmed_booking_gets_one_email_however_often_the_message_is_delivered(
    pool: asyncpg.Pool,
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
    stored = await delivery(pool, message)
    assert str(stored["booking_id"]) == details.booking.id
    assert (stored["status"], stored["kind"], stored["attempts"]) == ("sent", "tickets", 1)
    assert stored["lease_token"] is stored["lease_expires_at"] is None


async def test_no_personal_data_is_stored(
    pool: asyncpg.Pool,
    smtp: ScriptedSmtpServer,
    worker: Worker,
    add_booking: MakeDetails,
    make_message: MakeMessage,
    caplog: pytest.LogCaptureFixture,
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking(name="Ada Lovelace"))
    smtp.rcpt.append("550 5.1.1 <ada@buyers.example> is unknown here")

    with pytest.raises(EmailRefused):
        await worker.handle(message)

    everything = str(await delivery(pool, message)) + caplog.text
    for secret in ("ada@", "Lovelace", "code-0"):
        assert secret not in everything
        assert secret not in message.payload


async def test_concurrent_duplicates_send_one_email_and_the_others_are_retried_later(
    smtp: ScriptedSmtpServer, worker: Worker, add_booking: MakeDetails, make_message: MakeMessage
) -> None:
    message = make_message(BOOKING_CONFIRMED, add_booking())
    smtp.may_reply.clear()
    barrier = asyncio.Barrier(8)

    async def deliver() -> None:
        await barrier.wait()
        await worker.handle(message)

    tasks = [asyncio.create_task(deliver()) for _ in range(8)]
    await until(lambda: sum(task.done() for task in tasks) == 7)
    smtp.may_reply.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert len(smtp.messages) == 1
    assert results.count(None) == 1
    assert sum(isinstance(result, DeliveryInProgress) for result in results) == 7
    await worker.handle(message)
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
    tasks = [asyncio.create_task(worker.handle(message)) for message in messages]

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
    await asyncio.gather(*tasks)

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
    assert email["Subject"] == "Your reservation for Metallica Live has expired"


class TestFailures:
    """Failures of the SMTP server and of the address."""

    async def test_an_email_deferred_by_the_server_is_sent_by_the_next_attempt(
        self,
        pool: asyncpg.Pool,
        smtp: ScriptedSmtpServer,
        worker: Worker,
        add_booking: MakeDetails,
        make_message: MakeMessage,
    ) -> None:
        message = make_message(BOOKING_CONFIRMED, add_booking())
        smtp.data.append("451 4.3.0 Try again later")

        with pytest.raises(EmailDeferred):
            await worker.handle(message)
        deferred = await delivery(pool, message)
        await worker.handle(message)
        sent = await delivery(pool, message)

        assert deferred["status"] == "deferred"
        assert "Try again later" in deferred["reason"]
        assert (sent["status"], sent["reason"], sent["attempts"]) == ("sent", None, 2)
        assert len(smtp.messages) == 1

    async def test_without_an_smtp_server_the_delivery_is_deferred(
        self,
        pool: asyncpg.Pool,
        smtp: ScriptedSmtpServer,
        worker: Worker,
        add_booking: MakeDetails,
        make_message: MakeMessage,
    ) -> None:
        message = make_message(BOOKING_CONFIRMED, add_booking())
        smtp.stop()

        with pytest.raises(SmtpUnavailable):
            await worker.handle(message)
        assert (await delivery(pool, message))["status"] == "deferred"
        await smtp.start()
        await worker.handle(message)

        assert len(smtp.messages) == 1

    async def test_a_refused_email_is_not_retried_but_can_be_replayed(
        self,
        pool: asyncpg.Pool,
        smtp: ScriptedSmtpServer,
        worker: Worker,
        add_booking: MakeDetails,
        make_message: MakeMessage,
    ) -> None:
        message = make_message(BOOKING_CONFIRMED, add_booking())
        smtp.rcpt.append("550 5.1.1 No such user")

        with pytest.raises(NonRetryableError, match="No such user"):
            await worker.handle(message)

        refused = await delivery(pool, message)
        assert refused["status"] == "refused"
        assert "No such user" in refused["reason"]
        await worker.handle(message)
        assert (await delivery(pool, message))["status"] == "sent"

    async def test_a_malformed_address_is_not_retried(
        self,
        pool: asyncpg.Pool,
        smtp: ScriptedSmtpServer,
        worker: Worker,
        add_booking: MakeDetails,
        make_message: MakeMessage,
    ) -> None:
        message = make_message(BOOKING_CONFIRMED, add_booking(email="nobody"))

        with pytest.raises(InvalidRecipient, match="malformed"):
            await worker.handle(message)

        assert (await delivery(pool, message))["status"] == "refused"
        assert not smtp.messages

    async def test_an_attempt_that_takes_too_long_is_deferred(
        self,
        pool: asyncpg.Pool,
        smtp: ScriptedSmtpServer,
        worker: Worker,
        add_booking: MakeDetails,
        make_message: MakeMessage,
    ) -> None:
        message = make_message(BOOKING_CONFIRMED, add_booking())
        smtp.may_reply.clear()

        with pytest.raises(TimeoutError):
            await worker.handle(message, attempt_seconds=0.3)
        assert (await delivery(pool, message))["status"] == "deferred"
        smtp.may_reply.set()
        await worker.handle(message)

        assert smtp.message_ids == [f"<{message.id}@goticket.example>"] * 2


class TestBookingService:
    """Failures of the call that reads the booking."""

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
        self,
        pool: asyncpg.Pool,
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
        assert (await delivery(pool, message))["status"] == "deferred"
        booking_service.failures.clear()
        await worker.handle(message)

        assert len(smtp.messages) == 1

    async def test_a_stopped_service_defers_the_delivery(
        self,
        pool: asyncpg.Pool,
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
        assert (await delivery(pool, message))["status"] == "deferred"
        await booking_service.start()
        async with asyncio.timeout(30):
            while not smtp.messages:
                try:
                    await worker.handle(message)
                except BookingServiceUnavailable:  # the channel has not reconnected yet
                    await asyncio.sleep(0.05)

    async def test_an_internal_error_of_the_service_uses_up_attempts(
        self,
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
        self,
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
        self,
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
        self, worker: Worker, add_booking: MakeDetails, make_message: MakeMessage
    ) -> None:
        message = make_message(BOOKING_CONFIRMED, add_booking(tickets=0))

        with pytest.raises(NonRetryableError, match="no valid tickets"):
            await worker.handle(message)


class TestOrder:
    """Several e-mails about one booking."""

    async def test_tickets_are_superseded_when_the_booking_was_cancelled_meanwhile(
        self,
        pool: asyncpg.Pool,
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
        await worker.handle(cancellation)

        (email,) = smtp.messages
        assert email["Subject"].startswith("Cancelled")
        assert (await delivery(pool, confirmation))["status"] == "superseded"

    async def test_tickets_are_not_sent_after_the_cancellation_was(
        self,
        pool: asyncpg.Pool,
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
        assert (await delivery(pool, confirmation))["status"] == "superseded"

    async def test_tickets_and_then_the_cancellation_are_both_sent(
        self,
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
        self,
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

        with pytest.raises(DeliveryInProgress):
            await worker.handle(cancellation)
        smtp.may_reply.set()
        await sending
        await worker.handle(cancellation)

        subjects = [message["Subject"].split()[0] for message in smtp.messages]
        assert subjects == ["Your", "Cancelled:"]


class KilledBeforeRendering:
    """Stands for a process that is killed after it has read the booking."""

    async def render(self, _notification: Notification, _message_id: UUID, _now: datetime) -> Email:
        """Never return."""
        raise Killed


class KilledBeforeSending:
    """Stands for a process that is killed just before it sends."""

    async def send(self, _email: Email) -> None:
        """Never return."""
        raise Killed


class KilledAfterSending:
    """Stands for a process that is killed when the SMTP server has accepted the e-mail."""

    def __init__(self, mailer: SmtpMailer) -> None:
        self._mailer = mailer

    async def send(self, email: Email) -> None:
        """Send, and never return."""
        await self._mailer.send(email)
        raise Killed


class KilledAfterCompleting:
    """Stands for a process that is killed between the record and the acknowledgement."""

    def __init__(self, deliveries: DeliveryStore) -> None:
        self._deliveries = deliveries

    def __getattr__(self, name: str) -> Any:
        return getattr(self._deliveries, name)

    async def complete(self, claim: Claim, status: Status, reason: str | None) -> None:
        """Record, and never return."""
        await self._deliveries.complete(claim, status, reason)
        raise Killed


class KilledAfterClaiming:
    """Stands for a process that is killed when it has the lease."""

    async def get(self, _key: object) -> BookingDetails:
        """Never return."""
        raise Killed


class TestCrashes:
    """The process ends between two lines; its message is delivered again."""

    @pytest.mark.parametrize(
        ("part", "replacement"),
        [
            ("bookings", KilledAfterClaiming),
            ("renderer", KilledBeforeRendering),
            ("mailer", KilledBeforeSending),
        ],
    )
    async def test_a_crash_before_sending_is_made_up_for_when_the_lease_has_expired(
        self,
        pool: asyncpg.Pool,
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
        await expire_leases(pool)
        await worker.handle(message)

        assert smtp.message_ids == [f"<{message.id}@goticket.example>"]
        assert (await delivery(pool, message))["attempts"] == 2

    async def test_a_crash_after_the_servers_acceptance_repeats_the_same_message_id(
        self,
        pool: asyncpg.Pool,
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

        await expire_leases(pool)
        await worker.handle(message)
        await worker.handle(message)

        assert smtp.message_ids == [f"<{message.id}@goticket.example>"] * 2

    async def test_a_crash_before_the_acknowledgement_repeats_nothing(
        self,
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

    async def test_a_crash_does_not_hold_up_a_later_email_about_the_booking(
        self,
        pool: asyncpg.Pool,
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
        await expire_leases(pool)

        await worker.handle(make_message(BOOKING_CANCELLED, booking_service.cancel(details)))
        await worker.handle(confirmation)

        (email,) = smtp.messages
        assert email["Subject"].startswith("Cancelled")
        assert (await delivery(pool, confirmation))["status"] == "superseded"


async def test_many_workers_and_redeliveries_send_each_email_once(
    smtp: ScriptedSmtpServer, worker: Worker, add_booking: MakeDetails, make_message: MakeMessage
) -> None:
    messages = [make_message(BOOKING_CONFIRMED, add_booking(tickets=1)) for _ in range(20)]
    barrier = asyncio.Barrier(100)

    async def deliver(message: ReceivedMessage) -> None:
        await barrier.wait()
        while True:
            try:
                await worker.handle(message)
            except DeliveryInProgress:
                await asyncio.sleep(0.02)
            else:
                return

    await asyncio.gather(*(deliver(message) for message in messages for _ in range(5)))

    assert sorted(smtp.message_ids) == sorted(f"<{each.id}@goticket.example>" for each in messages)
