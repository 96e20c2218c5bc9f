"""Reads what is there in the end: database, event log, queues and inbox."""

import asyncio
import contextlib
import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import aio_pika
import asyncpg
from goticket_contracts.topology import TOPOLOGY

from goticket_testing.chaos.records import Booking, Key, Logged, Mail, Snapshot, Stock, Ticket
from goticket_testing.stack import RunningStack

FIRST_SECONDS = 5.0
"""How long the log may take to bring anything."""
QUIET_SECONDS = 0.7
"""The log has been read to its end when it brings nothing for so long."""

STOCK = """
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
HANDLED = "SELECT event_id::text FROM {schema}.inbox"
OUTBOX = "SELECT count(*) FROM {schema}.outbox"
OUTBOXES = ("identity", "catalog", "booking")


async def read_snapshot(
    stack: RunningStack, event_ids: Collection[str], addresses: Collection[str]
) -> Snapshot:
    """Read all about these events and all mails about them or to these addresses."""
    log, waiting = await _read_broker(stack.amqp_url, event_ids)
    mails = await asyncio.to_thread(_read_mails, stack, addresses, {event.id for event in log})
    connection = await asyncpg.connect(stack.superuser_url(), timeout=20)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await _read_database(connection, event_ids, log, waiting, mails)
    finally:
        await connection.close()


async def _read_database(
    connection: asyncpg.Connection,
    event_ids: Collection[str],
    log: list[Logged],
    waiting: dict[str, int],
    mails: list[Mail],
) -> Snapshot:
    wanted = list(event_ids)
    for schema in OUTBOXES:
        count = await connection.fetchval(OUTBOX.format(schema=schema))
        waiting[f"{schema}.outbox"] = count
    bookings = await connection.fetch(BOOKINGS, wanted)
    return Snapshot(
        stock=[Stock(**row) for row in await connection.fetch(STOCK, wanted)],
        bookings=[Booking(**{**row, "lines": json.loads(row["lines"])}) for row in bookings],
        tickets=[Ticket(**row) for row in await connection.fetch(TICKETS, wanted)],
        keys=[Key(**row) for row in await connection.fetch(KEYS, wanted)],
        log=log,
        mails=mails,
        notified=await _handled(connection, "notification"),
        followed=await _handled(connection, "booking"),
        waiting=waiting,
    )


async def _handled(connection: asyncpg.Connection, schema: str) -> frozenset[str]:
    rows = await connection.fetch(HANDLED.format(schema=schema))
    return frozenset(row["event_id"] for row in rows)


def _read_mails(
    stack: RunningStack, addresses: Collection[str], event_ids: Collection[str]
) -> list[Mail]:
    """Read the mails to these addresses, and those about these events to whomever they went."""
    mails = [_mail(message) for message in stack.inbox.messages()]
    return [m for m in mails if m.recipient in addresses or m.event_id in event_ids]


def _mail(message: Mapping[str, Any]) -> Mail:
    return Mail(
        event_id=message["MessageID"].partition("@")[0],
        recipient=message["To"][0]["Address"],
        at=datetime.fromisoformat(message["Created"]).timestamp(),
    )


async def _read_broker(
    amqp_url: str, event_ids: Collection[str]
) -> tuple[list[Logged], dict[str, int]]:
    connection = await aio_pika.connect(amqp_url, timeout=20)
    async with connection:
        channel = await connection.channel()
        waiting = {}
        for spec in TOPOLOGY.queues:
            for name in (spec.name, *spec.retry_queues, spec.dead_letters):
                queue = await channel.get_queue(name)
                waiting[name] = queue.declaration_result.message_count or 0
        messages = await read_log(channel)
    partitions = set(event_ids)
    return [
        _logged(message)
        for message in messages
        if message.headers.get("cloudEvents:partitionkey") in partitions
    ], waiting


async def read_log(
    channel: aio_pika.abc.AbstractChannel, seconds: float = 30
) -> list[aio_pika.abc.AbstractMessage]:
    """Read the event log from its first message to its end, for so many seconds at most."""
    await channel.set_qos(prefetch_count=1000)
    queue = await channel.get_queue(TOPOLOGY.event_log)
    arrived: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
    tag = await queue.consume(arrived.put, arguments={"x-stream-offset": "first"})
    messages: list[aio_pika.abc.AbstractMessage] = []
    patience = FIRST_SECONDS
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                message = await asyncio.wait_for(arrived.get(), patience)
                await message.ack()
                messages.append(message)
                patience = QUIET_SECONDS
    await queue.cancel(tag)
    return messages


def _logged(message: aio_pika.abc.AbstractMessage) -> Logged:
    return Logged(
        id=str(message.message_id),
        type=str(message.headers["cloudEvents:type"]),
        subject=str(message.headers["cloudEvents:subject"]),
        version=int(str(message.headers["goticket:aggregateversion"])),
    )
