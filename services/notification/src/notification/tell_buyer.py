"""Tells a buyer what happened to a booking: one letter for one event."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import asyncpg
from goticket_platform.logs import get_logger
from goticket_platform.messaging.consumer import NonRetryableError, ReceivedMessage
from prometheus_client import Counter

from notification.composing import Composer
from notification.deliveries import Delivery, Status, begin, record, record_due
from notification.letters import Letter, Letterhead, Unaddressable, smtp_message_id
from notification.mail_server import NotNow, Refused, Unavailable
from notification.reading import read_notice

CONSUMER = "notification.booking-events"
"""Name under which handled events are remembered."""
SCHEMA = "notification"

LETTERS = Counter(
    "goticket_notification_emails", "Letters by what became of them", ["kind", "outcome"]
)

logger = get_logger(__name__)


class Post(Protocol):
    """Takes letters for delivery."""

    async def send(self, letter: Letter) -> None:
        """Return once somebody else is responsible for the letter."""
        ...


async def tell_buyer(
    event: ReceivedMessage,
    *,
    pool: asyncpg.Pool,
    post: Post,
    composer: Composer,
    letterhead: Letterhead,
    now: Callable[[], datetime],
) -> None:
    """Send the letter the event asks for, if it asks for one and none was sent.

    The letter is handed over inside the transaction that remembers the event. A
    crash between the mail server's yes and the commit repeats the letter, with the
    same Message-ID; nothing loses it.

    Raises:
        NonRetryableError: the event or the address is malformed, or the letter was refused.
        NotNow, Unavailable: worth another try.
    """
    notice = read_notice(event)
    if notice is None:
        return
    delivery = Delivery(event.id, smtp_message_id(letterhead, event.id), notice)
    try:
        async with pool.acquire() as connection, connection.transaction():
            # Retries and several workers can turn events around. Who was told of a
            # cancellation must not be sent the tickets afterwards.
            new = await begin(connection, CONSUMER, delivery)
            status = await record_due(connection, delivery) if new else None
            if status is None:
                logger.info("told before", booking_id=str(notice.booking.id))
                return
            if status is Status.SENT:
                # Last: between the mail server's yes and the commit nothing else is to be done.
                await post.send(await composer.compose(letterhead, notice, event.id, now()))
    except (Refused, Unaddressable) as error:
        # Outside of the transaction, which took the inbox row back with it: a
        # replay from the dead letters finds the event new again.
        await _note_failure(pool, delivery, Status.REFUSED, error)
        raise NonRetryableError(f"the letter was refused: {error}") from error
    except (NotNow, Unavailable) as error:
        await _note_failure(pool, delivery, Status.DEFERRED, error)
        raise
    _count(delivery, status)


async def _note_failure(
    pool: asyncpg.Pool, delivery: Delivery, status: Status, error: Exception
) -> None:
    async with pool.acquire() as connection:
        await record(connection, delivery, status, str(error))
    _count(delivery, status)


def _count(delivery: Delivery, status: Status) -> None:
    notice = delivery.notice
    LETTERS.labels(notice.kind, status).inc()
    logger.info("letter", kind=notice.kind, status=status, booking_id=str(notice.booking.id))
