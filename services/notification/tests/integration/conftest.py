"""A scripted SMTP server, a scripted booking service, and a migrated database."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any

import asyncpg
import grpc
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1.notification_data_pb2 import (
    BatchGetBookingDetailsRequest,
    BatchGetBookingDetailsResponse,
    BatchGetBuyerBookingsRequest,
    BatchGetBuyerBookingsResponse,
    BookingDetails,
    ConfirmedBooking,
    ListConfirmedBookingsRequest,
    ListConfirmedBookingsResponse,
)
from goticket.booking.v1.notification_data_pb2_grpc import (
    NotificationDataServiceServicer,
    add_NotificationDataServiceServicer_to_server,
)
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.consumer import ReceivedMessage
from goticket_platform.postgres import open_pool
from goticket_platform.rpc.client import open_channel
from goticket_testing.databases import DatabaseFactory
from notification.accept_message import accept_message
from notification.announce_changes import continue_announcements
from notification.booking_details import BookingDetailsClient
from notification.delivery_queue import DeliveryQueue, SenderGroup
from notification.email_rendering import SenderProfile
from notification.event_buyers import EventBuyersClient
from notification.event_changes import EventChanges
from notification.outage_pause import OutagePause
from notification.render_pool import RenderPool
from notification.send_delivery import DeliverySender
from notification.smtp_client import SmtpAccount, SmtpMailer, Tls

MakeDetails = Callable[..., BookingDetails]

OK = "250 2.0.0 Ok"
LOGIN = (b"goticket", b"correct horse")
LEASE = timedelta(seconds=60)
PROFILE = SenderProfile(Address("GoTicket", "tickets", "goticket.example"), "https://shop.example")
TOKEN = "a token of notification's, 32 characters or more"


class ScriptedSmtpServer:
    """An SMTP server on loopback. Replies queued in `mail`, `rcpt` and `data` are sent first."""

    def __init__(self) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.connections = 0
        self.logins = 0
        self.messages: list[EmailMessage] = []
        self.mail: deque[str] = deque()
        self.rcpt: deque[str] = deque()
        self.data: deque[str] = deque()
        self.data_received = asyncio.Event()
        self.may_reply = asyncio.Event()
        self.may_reply.set()
        self.options: dict[str, Any] = {"enable_SMTPUTF8": True}
        self.implicit_tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None
        self._sessions: list[SMTP] = []

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._session, self.host, self.port, ssl=self.implicit_tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._server:
            self._server.close()
        self.disconnect()

    def disconnect(self) -> None:
        """Close every connection."""
        for session in self._sessions:
            if session.transport:
                session.transport.close()
        self._sessions.clear()

    @property
    def message_ids(self) -> list[str]:
        """Message-IDs in order of arrival."""
        return [str(message["Message-ID"]) for message in self.messages]

    def _session(self) -> SMTP:
        self.connections += 1
        loop = asyncio.get_running_loop()
        session = SMTP(self, hostname="mx.example", loop=loop, **self.options)
        self._sessions.append(session)
        return session

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
    ) -> AuthResult:
        """Accept one login."""
        assert isinstance(data, LoginPassword)
        success = (data.login, data.password) == LOGIN
        self.logins += success
        return AuthResult(success=success, handled=False)

    async def handle_MAIL(  # noqa: N802 - the name is aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: object
    ) -> str:
        """Send the scripted reply, or accept the sender."""
        reply = self.mail.popleft() if self.mail else OK
        if reply.startswith("250"):
            envelope.mail_from = address
        return reply

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: object
    ) -> str:
        """Send the scripted reply, or accept the recipient."""
        reply = self.rcpt.popleft() if self.rcpt else OK
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(  # noqa: N802 - the name is aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Send the scripted reply, or keep the message; wait until a reply may be sent."""
        reply = self.data.popleft() if self.data else OK
        if reply.startswith("250"):
            assert isinstance(envelope.content, bytes)
            message = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.messages.append(message)
        self.data_received.set()
        await self.may_reply.wait()
        return reply


class ScriptedBookingService(NotificationDataServiceServicer):
    """A gRPC server with the bookings in `details`. Statuses in `failures` are returned first."""

    def __init__(self) -> None:
        self.details: dict[str, BookingDetails] = {}
        self.failures: deque[grpc.StatusCode] = deque()
        self.unreadable: set[str] = set()
        """Ids of bookings and buyers that fail every call in which they are."""
        self.batch_sizes: list[int] = []
        self.call_received = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.port = 0
        self._server: grpc.aio.Server | None = None

    @property
    def target(self) -> str:
        """Address of the server."""
        return f"127.0.0.1:{self.port}"

    def add(self, *details: BookingDetails) -> None:
        """Know these bookings, in these versions, from now on."""
        for each in details:
            self.details[each.booking.id] = each

    def cancel(self, details: BookingDetails) -> BookingDetails:
        """Cancel the booking, as the booking service does; return its next version."""
        cancelled = BookingDetails()
        cancelled.CopyFrom(details)
        cancelled.booking.status = pb.BOOKING_STATUS_CANCELLED
        cancelled.booking.version += 1
        for ticket in cancelled.booking.tickets:
            ticket.status = pb.TICKET_STATUS_VOID
            ticket.ClearField("code")
        self.add(cancelled)
        return cancelled

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_NotificationDataServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """Stop at once."""
        if self._server:
            await self._server.stop(None)

    async def BatchGetBookingDetails(  # noqa: N802 - the name is the proto's
        self,
        request: BatchGetBookingDetailsRequest,
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> BatchGetBookingDetailsResponse:
        """Answer with the known bookings, or with the scripted failure."""
        metadata = dict(context.invocation_metadata() or ())
        if metadata.get("authorization") != f"Bearer {TOKEN}":
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "forbidden")
        self.batch_sizes.append(len(request.bookings))
        self.call_received.set()
        await self.may_answer.wait()
        if self.failures:
            await context.abort(self.failures.popleft(), "scripted")
        if self.unreadable & {reference.booking_id for reference in request.bookings}:
            await context.abort(grpc.StatusCode.INTERNAL, "scripted")
        known = (self.details.get(reference.booking_id) for reference in request.bookings)
        return BatchGetBookingDetailsResponse(bookings=[each for each in known if each])

    async def ListConfirmedBookings(  # noqa: N802 - the name is the proto's
        self,
        request: ListConfirmedBookingsRequest,
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> ListConfirmedBookingsResponse:
        """Answer with a page of the known bookings, or with the scripted failure."""
        await self._authorize(context)
        confirmed = [
            ConfirmedBooking(booking_id=each.booking.id, user_id=each.booking.user_id)
            for each in self._confirmed(request.event_id)
            if each.booking.id > request.after_booking_id
        ]
        versions = [
            each.event.version
            for each in self.details.values()
            if each.event.id == request.event_id
        ]
        return ListConfirmedBookingsResponse(
            event_version=max(versions, default=0), bookings=confirmed[: request.limit]
        )

    async def BatchGetBuyerBookings(  # noqa: N802 - the name is the proto's
        self,
        request: BatchGetBuyerBookingsRequest,
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> BatchGetBuyerBookingsResponse:
        """Answer with the known bookings, or with the scripted failure."""
        await self._authorize(context)
        if self.unreadable & {buyer.user_id for buyer in request.buyers}:
            await context.abort(grpc.StatusCode.INTERNAL, "scripted")
        return BatchGetBuyerBookingsResponse(
            bookings=[
                each
                for buyer in request.buyers
                for each in self._confirmed(buyer.event_id)
                if each.booking.user_id == buyer.user_id
            ]
        )

    async def _authorize(self, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        metadata = dict(context.invocation_metadata() or ())
        if metadata.get("authorization") != f"Bearer {TOKEN}":
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "forbidden")
        if self.failures:
            await context.abort(self.failures.popleft(), "scripted")

    def _confirmed(self, event_id: str) -> list[BookingDetails]:
        return sorted(
            (
                each
                for each in self.details.values()
                if each.event.id == event_id and each.booking.status == pb.BOOKING_STATUS_CONFIRMED
            ),
            key=lambda each: each.booking.id,
        )


@pytest.fixture
async def smtp() -> AsyncIterator[ScriptedSmtpServer]:
    server = ScriptedSmtpServer()
    yield server
    server.may_reply.set()
    server.stop()


@pytest.fixture
async def booking_service() -> AsyncIterator[ScriptedBookingService]:
    service = ScriptedBookingService()
    await service.start()
    yield service
    service.may_answer.set()
    await service.stop()


@pytest.fixture
def booking_token() -> str:
    """The token that the scripted booking service requires."""
    return TOKEN


@pytest.fixture
async def pool(database: DatabaseFactory) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(await database("notification"), max_size=12)
    yield pool
    await asyncio.wait_for(pool.close(), 10)


class Worker:
    """Does what the worker does, one step at a time. Replace a part to make it fail."""

    def __init__(
        self,
        queue: DeliveryQueue,
        bookings: BookingDetailsClient,
        buyers: EventBuyersClient,
        renderer: RenderPool,
        mailer: SmtpMailer,
        pool: asyncpg.Pool,
    ) -> None:
        self.queue: Any = queue
        self.bookings: Any = bookings
        self.buyers: Any = buyers
        self.changes = EventChanges(pool, timedelta(0), timedelta(0))
        self.renderer: Any = renderer
        self.mailer: Any = mailer
        self.pause = OutagePause()
        self.connections = asyncio.Semaphore(8)
        self.attempt_seconds = 30.0
        self.is_stopping = False
        self._pool = pool

    async def accept(self, *messages: ReceivedMessage) -> None:
        """Store the deliveries of messages, one after another."""
        for message in messages:
            await accept_message(
                message, queue=self.queue, changes=self.changes, wake=lambda _group: None
            )

    async def announce(self) -> None:
        """Announce the changes that are due."""
        await self.changes.start_due()
        await continue_announcements(self.changes, self.buyers, lambda: None, Stop())

    async def send_pending(self) -> int:
        """Claim every pending delivery and make one attempt at each; return how many."""
        return sum([await self._send_group(group) for group in SenderGroup])

    async def handle(self, *messages: ReceivedMessage) -> None:
        """Accept the messages and send what is pending."""
        await self.accept(*messages)
        await self.send_pending()

    async def delivery(self, message: ReceivedMessage) -> dict[str, Any]:
        """Return the stored delivery of the message."""
        row = await self._pool.fetchrow(
            "SELECT * FROM notification.deliveries WHERE message_id = $1", message.id
        )
        assert row is not None
        return dict(row)

    async def end_waits(self) -> None:
        """Advance the time until every back-off and every lease has ended."""
        await self._pool.execute(
            "UPDATE notification.deliveries SET due_at = now() WHERE due_at IS NOT NULL"
        )
        await self.queue.release_due()

    async def _send_group(self, group: SenderGroup) -> int:
        sender = DeliverySender(
            self.queue,
            self.bookings,
            self.buyers,
            self.renderer,
            self.mailer,
            lambda: datetime.now(UTC),
            self.attempt_seconds,
            self.pause,
        )
        count = 0
        while claimed := await self.queue.claim(group, 100):
            count += len(claimed)
            await asyncio.gather(
                *(sender.send(each, self.connections, lambda: self.is_stopping) for each in claimed)
            )
            if self.is_stopping:
                break
        return count


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
        buyers = EventBuyersClient(channel, booking_token)
        yield Worker(DeliveryQueue(pool, LEASE), bookings, buyers, renderer, mailer, pool)
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
