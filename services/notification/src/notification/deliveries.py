"""The delivery log, and the order in which a booking's letters go out."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

import asyncpg
from goticket_platform.postgres import load_queries

from notification.bookings import Notice

Connection: TypeAlias = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

QUERIES = load_queries("notification")


class Status(StrEnum):
    """What became of a letter."""

    SENT = "sent"
    SUPERSEDED = "superseded"
    DEFERRED = "deferred"
    REFUSED = "refused"


@dataclass(frozen=True)
class Delivery:
    """The letter an event asks for, as the log knows it."""

    message_id: UUID
    smtp_message_id: str
    notice: Notice


async def begin(connection: Connection, consumer: str, delivery: Delivery) -> bool:
    """Note that the event is told in this transaction; tell if it is new.

    Holds back other letters about the booking, and repeats of this one, until the
    transaction ends.

    Raises:
        asyncpg.LockNotAvailableError: another one takes longer than `lock_timeout`.
    """
    booking_id = delivery.notice.booking.id
    new = await connection.fetch(QUERIES["begin"], consumer, delivery.message_id, booking_id)
    return bool(new)


async def record_due(connection: Connection, delivery: Delivery) -> Status | None:
    """Note the letter as sent, or as superseded when a later change was to be told already.

    None when it was sent before, so long ago that the inbox has forgotten it.
    """
    status = await connection.fetchval(
        QUERIES["record_due"], *_fields(delivery), Status.SENT, Status.SUPERSEDED
    )
    return Status(status) if status else None


async def record(
    connection: Connection, delivery: Delivery, status: Status, reason: str | None = None
) -> None:
    """Note what became of the letter; a letter that was sent stays so."""
    await connection.execute(QUERIES["record_delivery"], *_fields(delivery), status, reason)


def _fields(delivery: Delivery) -> tuple[object, ...]:
    booking = delivery.notice.booking
    return (
        delivery.message_id,
        booking.id,
        booking.version,
        delivery.notice.kind,
        booking.buyer_email,
        delivery.smtp_message_id,
    )
