"""Tells a buyer what happened to a booking: one letter for one event."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import asyncpg
from goticket_platform.logs import get_logger
from goticket_platform.messaging.consumer import Poison, ReceivedEvent
from goticket_platform.messaging.inbox import first_time
from prometheus_client import Counter

from notification.deliveries import Delivery, Status, is_superseded, lock_booking, record
from notification.letters import Letter, Letterhead, Unaddressable, compose, message_id
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
    event: ReceivedEvent,
    *,
    pool: asyncpg.Pool,
    post: Post,
    letterhead: Letterhead,
    now: Callable[[], datetime],
) -> None:
    """Send the letter the event asks for, if it asks for one and none was sent.

    The letter is handed over inside the transaction that remembers the event. A
    crash between the mail server's yes and the commit repeats the letter, with the
    same Message-ID; nothing loses it.

    Raises:
        Poison: the event or the address is malformed, or the letter was refused.
        NotNow, Unavailable: worth another try.
    """
    notice = read_notice(event)
    if notice is None:
        return
    delivery = Delivery(event.id, message_id(letterhead, event.id), notice)
    try:
        async with pool.acquire() as connection, connection.transaction():
            if await first_time(connection, SCHEMA, CONSUMER, event.id):
                status = await _deliver(connection, delivery, post, letterhead, now())
            else:
                logger.info("told before", booking_id=str(notice.booking.id))
                return
    except (Refused, Unaddressable) as error:
        # Outside of the transaction, which took the inbox row back with it: a
        # replay from the dead letters finds the event new again.
        await _note_failure(pool, delivery, Status.REFUSED, error)
        raise Poison(f"the letter was refused: {error}") from error
    except (NotNow, Unavailable) as error:
        await _note_failure(pool, delivery, Status.DEFERRED, error)
        raise
    _count(delivery, status)


async def _deliver(
    connection: asyncpg.pool.PoolConnectionProxy,
    delivery: Delivery,
    post: Post,
    letterhead: Letterhead,
    now: datetime,
) -> Status:
    """Send the letter unless the booking has moved on.

    Retries and several workers can turn events around. Who was told of a
    cancellation must not be sent the tickets afterwards.
    """
    notice = delivery.notice
    await lock_booking(connection, notice.booking.id)
    if await is_superseded(connection, notice):
        await record(connection, delivery, Status.SUPERSEDED)
        return Status.SUPERSEDED
    # Tickets take milliseconds each; a thread keeps the loop free for the others.
    letter = await asyncio.to_thread(compose, letterhead, notice, delivery.event_id, now)
    # Written first: between the mail server's yes and the commit nothing else is to be done.
    await record(connection, delivery, Status.SENT)
    await post.send(letter)
    return Status.SENT


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
