"""Reading the replayable event log (a RabbitMQ stream), as analytics would."""

import asyncio

import aio_pika

CONFIRMED = "goticket.booking.booking.confirmed.v1"
LOG = "goticket.events.log"


async def confirmed_events(
    amqp_url: str, event_id: str, *, at_least: int, seconds: float = 60
) -> list[str]:
    """Return the booking ids of an event's `confirmed` messages, in the log's order.

    Reads from the first message until `at_least` were seen and a second brought no
    more.

    Raises:
        TimeoutError: fewer than `at_least` within `seconds`.
    """
    found: list[str] = []
    connection = await aio_pika.connect(amqp_url)
    async with connection, asyncio.timeout(seconds):
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=500)
        queue = await channel.get_queue(LOG)
        inbox: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
        await queue.consume(inbox.put, arguments={"x-stream-offset": "first"})
        while True:
            try:
                patience = 1.0 if len(found) >= at_least else None
                message = await asyncio.wait_for(inbox.get(), patience)
            except TimeoutError:
                if len(found) >= at_least:
                    return found
                raise
            await message.ack()
            partition = message.headers.get("cloudEvents:partitionkey")
            if message.routing_key == CONFIRMED and partition == event_id:
                found.append(str(message.headers["cloudEvents:subject"]))
