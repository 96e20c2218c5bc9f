"""Sends the e-mail of one claimed delivery."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

import structlog
from goticket.booking.v1.notification_data_pb2 import BookingDetails
from goticket_platform.logs import get_logger
from goticket_platform.messaging.consumer import NonRetryableError, RetryableError
from goticket_platform.rpc.errors import RemoteError
from goticket_platform.telemetry import extracted_context
from opentelemetry import context

from notification.attempt_outcome import is_outage, outcome_of
from notification.booking_details import BookingKey, BookingNotFound
from notification.booking_mapping import map_booking
from notification.bookings import (
    Booking,
    CancellationCause,
    Notification,
    NotificationKind,
    NotificationRequest,
)
from notification.delivery_queue import Delivery, DeliveryQueue, Outcome, Status
from notification.email_rendering import Email
from notification.event_buyers import EventBuyer
from notification.event_differences import event_differences
from notification.event_mapping import TRACEPARENT
from notification.outage_pause import OutagePause
from notification.smtp_client import EmailDeferred, EmailRefused

logger = get_logger(__name__)

_CAUSES: Mapping[CancellationCause, str] = MappingProxyType(
    {
        CancellationCause.BY_BUYER: "You asked us to cancel it.",
        CancellationCause.BY_ORGANIZER: "The organizer cancelled it.",
        CancellationCause.EVENT_CANCELLED: "The event has been cancelled.",
    }
)

_EXPECTED = (NonRetryableError, BookingNotFound, EmailDeferred, RemoteError)


class AttemptTimeout(RetryableError):
    """The SMTP server took too long. It may have accepted the e-mail."""


class BookingDetailsSource(Protocol):
    """Returns bookings with buyer, tickets and event, as they are now."""

    async def get(self, key: BookingKey) -> BookingDetails:
        """Return one booking."""
        ...


class BuyerBookingsSource(Protocol):
    """Returns the bookings of buyers, as they are now."""

    async def bookings(self, buyer: EventBuyer) -> list[BookingDetails]:
        """Return all confirmed bookings of a buyer for an event."""
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


@dataclass
class DeliverySender:
    """Sends claimed deliveries. `attempt_seconds` limits the SMTP dialogue of one e-mail."""

    queue: DeliveryQueue
    bookings: BookingDetailsSource
    buyers: BuyerBookingsSource
    renderer: Renderer
    mailer: Mailer
    now: Callable[[], datetime]
    attempt_seconds: float
    pause: OutagePause

    async def send(
        self, delivery: Delivery, connections: asyncio.Semaphore, is_stopping: Callable[[], bool]
    ) -> None:
        """Send the delivery over one of `connections` and record the outcome.

        The next e-mail gets the connection after the record. So a crash repeats at most one
        e-mail per connection: one that the SMTP server has accepted and that is not recorded.

        Raises:
            Exception: the outcome could not be recorded; the lease ends later.
        """
        request = delivery.request
        token = context.attach(extracted_context(_carrier(delivery)))
        try:
            with structlog.contextvars.bound_contextvars(message_id=str(request.message_id)):
                try:
                    notification = await self._notification(delivery)
                except Exception as error:  # noqa: BLE001 - any failure has an outcome
                    await self._record_failure(delivery, error)
                    return
                if notification is None:
                    await self._record(delivery, Outcome(Status.SUPERSEDED))
                    return
                async with connections:
                    if is_stopping():  # another worker may send it at once
                        await self._record(delivery, Outcome(Status.PENDING))
                        return
                    await self._send(delivery, notification)
        finally:
            context.detach(token)

    async def _notification(self, delivery: Delivery) -> Notification | None:
        """Return the content, or None if the booking has changed since the message."""
        request = delivery.request
        if request.kind is NotificationKind.EVENT_CHANGE:
            return await self._event_change(request)
        details = await self.bookings.get(BookingKey(request.event_id, request.booking_id))
        booking = map_booking(details)
        if booking.version < request.booking_version:
            raise BookingNotFound(f"version {request.booking_version} of the booking is unknown")
        if request.kind is NotificationKind.TICKETS:
            if not booking.is_confirmed:
                return None  # the message about the later change sends its own e-mail
            _require_tickets(booking)
        cause = _CAUSES[request.cause] if request.cause else ""
        return Notification(request.kind, booking, cause)

    async def _event_change(self, request: NotificationRequest) -> Notification | None:
        """Return the content, or None if the buyer has no booking or the event is as before."""
        details = await self.buyers.bookings(EventBuyer(request.event_id, request.buyer_id))
        bookings = [map_booking(each) for each in details]
        if not bookings or request.event_before is None:
            return None
        if not event_differences(request.event_before, bookings[0].event):
            return None
        return Notification(
            request.kind,
            bookings[0],
            event_before=request.event_before,
            further_bookings=tuple(bookings[1:]),
        )

    async def _send(self, delivery: Delivery, notification: Notification) -> None:
        try:
            email = await self.renderer.render(
                notification, delivery.request.message_id, self.now()
            )
            if not await self.queue.begin(delivery):
                return  # taken over or superseded, and recorded by others
            # The last step: nothing else stands between the server's acceptance and the record.
            async with _time_limit(self.attempt_seconds):
                await self.mailer.send(email)
        except Exception as error:  # noqa: BLE001 - any failure has an outcome
            await self._record_failure(delivery, error)
        else:
            await self._record(delivery, Outcome(Status.SENT))
            self.pause.end()

    async def _record_failure(self, delivery: Delivery, error: Exception) -> None:
        if is_outage(error):
            self.pause.begin()
        elif isinstance(error, EmailDeferred | EmailRefused):  # the SMTP server has answered
            self.pause.end()
        outcome = outcome_of(error, delivery)
        logger.log(
            _level(outcome.status),
            "attempt failed",
            status=outcome.status,
            reason=outcome.reason,
            attempts=delivery.attempts,
            exc_info=None if isinstance(error, _EXPECTED) or is_outage(error) else error,
        )
        await self._record(delivery, outcome)

    async def _record(self, delivery: Delivery, outcome: Outcome) -> None:
        await self.queue.record(delivery, outcome)
        logger.info(
            "delivery",
            kind=delivery.request.kind,
            status=outcome.status,
            booking_id=str(delivery.request.booking_id),
        )


def _level(status: Status) -> int:
    return logging.ERROR if status is Status.REFUSED else logging.WARNING


@asynccontextmanager
async def _time_limit(seconds: float) -> AsyncIterator[None]:
    deadline = asyncio.timeout(seconds)
    try:
        async with deadline:
            yield
    except TimeoutError as error:
        if deadline.expired():
            raise AttemptTimeout(f"not sent after {seconds:g} s") from error
        raise


def _require_tickets(booking: Booking) -> None:
    if not booking.tickets:
        raise NonRetryableError("the booking is confirmed but has no valid tickets")


def _carrier(delivery: Delivery) -> dict[str, str]:
    traceparent = delivery.request.traceparent
    return {TRACEPARENT: traceparent} if traceparent else {}
