"""Reads the event log, a RabbitMQ stream."""

import asyncio

import aio_pika
from goticket_contracts.event_types import BOOKING_CONFIRMED
from goticket_contracts.topology import EVENT_LOG

IDLE_SECONDS = 1.0
"""The log is complete when no further message arrives within this time."""


async def confirmed_events(
    amqp_url: str, event_id: str, *, at_least: int, seconds: float = 60
) -> list[str]:
    """Return the booking ids of an event's `confirmed` messages, in the order of the log.

    Reads from the first message until `at_least` were found and IDLE_SECONDS passed
    without a further message.

    Raises:
        TimeoutError: fewer than `at_least` within `seconds`.
    """
    booking_ids: list[str] = []
    connection = await aio_pika.connect(amqp_url)
    async with connection, asyncio.timeout(seconds):
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=500)
        queue = await channel.get_queue(EVENT_LOG)
        messages: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
        await queue.consume(messages.put, arguments={"x-stream-offset": "first"})
        while True:
            try:
                timeout = IDLE_SECONDS if len(booking_ids) >= at_least else None
                message = await asyncio.wait_for(messages.get(), timeout)
            except TimeoutError:
                if len(booking_ids) >= at_least:
                    return booking_ids
                raise
            await message.ack()
            partition = message.headers.get("cloudEvents:partitionkey")
            if message.routing_key == BOOKING_CONFIRMED and partition == event_id:
                booking_ids.append(str(message.headers["cloudEvents:subject"]))
