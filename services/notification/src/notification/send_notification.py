"""Sends the e-mail that a message requests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Protocol
from uuid import UUID

from goticket.booking.v1.notification_data_pb2 import BookingDetails
from goticket_platform.logs import get_logger
from goticket_platform.messaging.consumer import NonRetryableError, ReceivedMessage
from goticket_platform.messaging.retry_decision import describe
from prometheus_client import Counter

from notification.booking_details import BookingKey, BookingNotFound
from notification.booking_mapping import map_booking
from notification.bookings import Booking, Notification, NotificationKind, NotificationRequest
from notification.deliveries import Claim, DeliveryStore, Status
from notification.email_rendering import Email
from notification.event_mapping import map_message

EMAILS = Counter("goticket_notification_emails", "Attempts to send an e-mail", ["kind", "outcome"])

logger = get_logger(__name__)


class AttemptTimeout(Exception):
    """The attempt to send the e-mail took too long."""


class BookingDetailsSource(Protocol):
    """Returns bookings with buyer, tickets and event, as they are now."""

    async def get(self, key: BookingKey) -> BookingDetails:
        """Return one booking."""
        ...


class Renderer(Protocol):
    """Renders e-mails."""

    async def render(self, notification: Notification, message_id: UUID, now: datetime) -> Email:
        """Return the e-mail of a message."""
        ...


class Mailer(Protocol):
    """Sends e-mails."""

    async def send(self, email: Email) -> None:
        """Return when a server has accepted the e-mail and is responsible for it."""
        ...


async def send_notification(
    message: ReceivedMessage,
    *,
    deliveries: DeliveryStore,
    bookings: BookingDetailsSource,
    renderer: Renderer,
    mailer: Mailer,
    now: Callable[[], datetime],
    attempt_seconds: float,
) -> None:
    """Send the e-mail that the message requests, unless it was sent before.

    The delivery is leased, then the e-mail is sent, then the outcome is recorded. A crash
    before the record leaves the lease to expire; the redelivered message then takes it over.
    So nothing is lost, and a crash between the server's acceptance and the record repeats one
    e-mail with the same Message-ID.

    Raises:
        NonRetryableError: the message, the booking or the address is malformed, or the SMTP
            server refused the e-mail permanently.
        RetryableError: another worker, the booking service or the SMTP server is in the way.
        AttemptTimeout: the attempt took longer than `attempt_seconds`.
    """
    request = map_message(message)
    if request is None:
        return
    claim = await deliveries.claim(request)
    if claim.status is not Status.SENDING:
        _count(request, claim.status)
        return
    try:
        async with _attempt_timeout(attempt_seconds):
            status = await _attempt(request, bookings, renderer, mailer, now)
    except Exception as error:
        status = Status.REFUSED if isinstance(error, NonRetryableError) else Status.DEFERRED
        await _complete(deliveries, claim, request, status, describe(error))
        raise
    await _complete(deliveries, claim, request, status)


@asynccontextmanager
async def _attempt_timeout(seconds: float) -> AsyncIterator[None]:
    """Limit an attempt. Its timeout counts as an attempt, unlike an outage's."""
    deadline = asyncio.timeout(seconds)
    try:
        async with deadline:
            yield
    except TimeoutError as error:
        if deadline.expired():
            raise AttemptTimeout(f"not sent after {seconds:g} s") from error
        raise


async def _attempt(
    request: NotificationRequest,
    bookings: BookingDetailsSource,
    renderer: Renderer,
    mailer: Mailer,
    now: Callable[[], datetime],
) -> Status:
    key = BookingKey(request.event_id, request.booking_id)
    booking = map_booking(await bookings.get(key))
    if booking.version < request.booking_version:
        raise BookingNotFound(f"version {request.booking_version} of the booking is unknown")
    if request.kind is NotificationKind.TICKETS:
        if not booking.is_confirmed:
            return Status.SUPERSEDED  # the message about the later change sends its own e-mail
        _require_tickets(booking)
    notification = Notification(request.kind, booking, request.reason)
    # The last step: nothing else stands between the server's acceptance and the record.
    await mailer.send(await renderer.render(notification, request.message_id, now()))
    return Status.SENT


def _require_tickets(booking: Booking) -> None:
    if not booking.tickets:
        raise NonRetryableError("the booking is confirmed but has no valid tickets")


async def _complete(
    deliveries: DeliveryStore,
    claim: Claim,
    request: NotificationRequest,
    status: Status,
    reason: str | None = None,
) -> None:
    await deliveries.complete(claim, status, reason)
    _count(request, status)


def _count(request: NotificationRequest, status: Status) -> None:
    EMAILS.labels(request.kind, status).inc()
    logger.info("delivery", kind=request.kind, status=status, booking_id=str(request.booking_id))
