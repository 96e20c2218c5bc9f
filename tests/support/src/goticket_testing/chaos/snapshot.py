"""Reads the state after a run from the database, the event log, the queues and the mailbox."""

import asyncio
import contextlib
import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import aio_pika
import asyncpg
from goticket_contracts.topology import TOPOLOGY

from goticket_testing.chaos.records import (
    Email,
    InventoryRow,
    LoggedMessage,
    Snapshot,
    StoredBooking,
    StoredKey,
    StoredTicket,
)
from goticket_testing.stack import RunningStack

FIRST_MESSAGE_SECONDS = 5.0
"""Time limit for the first message of the log."""
LOG_IDLE_SECONDS = 0.7
"""After this time without a message the log counts as read to its end."""

INVENTORY = """
SELECT event_id::text, ticket_type_id::text, capacity, held, sold
FROM booking.inventory WHERE event_id = ANY ($1::uuid[])
"""
BOOKINGS = """
SELECT b.id::text, b.event_id::text, b.user_id::text, b.status, b.version,
       b.confirmed_at IS NOT NULL AS was_confirmed,
       (SELECT json_object_agg(i.ticket_type_id, i.quantity)
        FROM booking.booking_items AS i
        WHERE i.event_id = b.event_id AND i.booking_id = b.id)::text AS lines
FROM booking.bookings AS b WHERE b.event_id = ANY ($1::uuid[])
"""
TICKETS = """
SELECT id::text, booking_id::text, ticket_type_id::text, code, status
FROM booking.tickets WHERE event_id = ANY ($1::uuid[])
"""
KEYS = """
SELECT user_id::text, key, booking_id::text
FROM booking.idempotency_keys WHERE event_id = ANY ($1::uuid[])
"""
BOOKING_INBOX = "SELECT message_id::text FROM booking.inbox"
HANDLED_BY_NOTIFICATION = """
SELECT message_id::text FROM notification.deliveries WHERE status IN ('sent', 'superseded')
"""
UNFINISHED_DELIVERIES = """
SELECT count(*) FROM notification.deliveries WHERE status NOT IN ('sent', 'superseded')
"""
OUTBOX = "SELECT count(*) FROM {schema}.outbox"
OUTBOXES = ("identity", "catalog", "booking")


async def read_snapshot(
    stack: RunningStack, event_ids: Collection[str], addresses: Collection[str]
) -> Snapshot:
    """Read everything about these events, and all e-mails about them or to these addresses."""
    log, backlog = await _read_broker(stack.amqp_url, event_ids)
    message_ids = {message.id for message in log}
    emails = await asyncio.to_thread(_read_emails, stack, addresses, message_ids)
    connection = await asyncpg.connect(stack.superuser_url(), timeout=20)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await _read_database(connection, event_ids, log, backlog, emails)
    finally:
        await connection.close()


async def _read_database(
    connection: asyncpg.Connection,
    event_ids: Collection[str],
    log: list[LoggedMessage],
    backlog: dict[str, int],
    emails: list[Email],
) -> Snapshot:
    wanted = list(event_ids)
    for schema in OUTBOXES:
        count = await connection.fetchval(OUTBOX.format(schema=schema))
        backlog[f"{schema}.outbox"] = count
    backlog["notification.deliveries"] = await connection.fetchval(UNFINISHED_DELIVERIES)
    bookings = await connection.fetch(BOOKINGS, wanted)
    return Snapshot(
        inventory=[InventoryRow(**row) for row in await connection.fetch(INVENTORY, wanted)],
        bookings=[StoredBooking(**{**row, "lines": json.loads(row["lines"])}) for row in bookings],
        tickets=[StoredTicket(**row) for row in await connection.fetch(TICKETS, wanted)],
        keys=[StoredKey(**row) for row in await connection.fetch(KEYS, wanted)],
        event_log=log,
        emails=emails,
        handled_by_notification=await _message_ids(connection, HANDLED_BY_NOTIFICATION),
        handled_by_booking=await _message_ids(connection, BOOKING_INBOX),
        backlog=backlog,
    )


async def _message_ids(connection: asyncpg.Connection, query: str) -> frozenset[str]:
    rows = await connection.fetch(query)
    return frozenset(row["message_id"] for row in rows)


def _read_emails(
    stack: RunningStack, addresses: Collection[str], message_ids: Collection[str]
) -> list[Email]:
    """Read the e-mails to these addresses, and those about these messages to any address."""
    emails = [_email(entry) for entry in stack.mailbox.messages()]
    return [e for e in emails if e.recipient in addresses or e.message_id in message_ids]


def _email(entry: Mapping[str, Any]) -> Email:
    return Email(
        message_id=entry["MessageID"].partition("@")[0],
        recipient=entry["To"][0]["Address"],
        at=datetime.fromisoformat(entry["Created"]).timestamp(),
    )


async def _read_broker(
    amqp_url: str, event_ids: Collection[str]
) -> tuple[list[LoggedMessage], dict[str, int]]:
    connection = await aio_pika.connect(amqp_url, timeout=20)
    async with connection:
        channel = await connection.channel()
        backlog = {}
        for spec in TOPOLOGY.queues:
            for name in (spec.name, *spec.retry_queues, spec.dead_letters):
                queue = await channel.get_queue(name)
                backlog[name] = queue.declaration_result.message_count or 0
        messages = await read_log(channel)
    partitions = set(event_ids)
    return [
        _logged(message)
        for message in messages
        if message.headers.get("cloudEvents:partitionkey") in partitions
    ], backlog


async def read_log(
    channel: aio_pika.abc.AbstractChannel, seconds: float = 30
) -> list[aio_pika.abc.AbstractMessage]:
    """Read the event log from its first message to its end, for at most `seconds`."""
    await channel.set_qos(prefetch_count=1000)
    queue = await channel.get_queue(TOPOLOGY.event_log)
    received: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
    tag = await queue.consume(received.put, arguments={"x-stream-offset": "first"})
    messages: list[aio_pika.abc.AbstractMessage] = []
    idle_timeout = FIRST_MESSAGE_SECONDS
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                message = await asyncio.wait_for(received.get(), idle_timeout)
                await message.ack()
                messages.append(message)
                idle_timeout = LOG_IDLE_SECONDS
    await queue.cancel(tag)
    return messages


def _logged(message: aio_pika.abc.AbstractMessage) -> LoggedMessage:
    return LoggedMessage(
        id=str(message.message_id),
        type=str(message.headers["cloudEvents:type"]),
        subject=str(message.headers["cloudEvents:subject"]),
        version=int(str(message.headers["goticket:aggregateversion"])),
    )
