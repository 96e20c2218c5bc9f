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

    event_id: UUID
    message_id: str
    notice: Notice


async def lock_booking(connection: Connection, booking_id: UUID) -> None:
    """Hold back other letters about this booking until the transaction ends.

    Raises:
        asyncpg.LockNotAvailableError: another one takes longer than `lock_timeout`.
    """
    await connection.execute(QUERIES["lock_booking"], booking_id)


async def is_superseded(connection: Connection, notice: Notice) -> bool:
    """Whether a later change of the booking was to be told already."""
    latest = await connection.fetchval(QUERIES["latest_version"], notice.booking.id)
    return latest is not None and latest > notice.booking.version


async def record(
    connection: Connection, delivery: Delivery, status: Status, reason: str | None = None
) -> None:
    """Note what became of the letter; a letter that was sent stays so."""
    booking = delivery.notice.booking
    await connection.execute(
        QUERIES["record_delivery"],
        delivery.event_id,
        booking.id,
        booking.version,
        delivery.notice.kind,
        booking.buyer_email,
        delivery.message_id,
        status,
        reason,
    )
