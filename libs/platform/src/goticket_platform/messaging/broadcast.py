"""Delivers messages to every process, each with a queue that is deleted with the connection.

For caches, not for work: messages are lost while a process is not connected.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from goticket_contracts.topology import EXCHANGE

from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.messaging.broker import (
    CONNECT_SECONDS,
    HEARTBEAT_SECONDS,
    BrokerLost,
    keep_connected,
)
from goticket_platform.messaging.cloudevents import (
    NonRetryableError,
    ReceivedMessage,
    read_message,
)
from goticket_platform.messaging.topology import ensure_exchange
from goticket_platform.retry import Outage

DECLARE_SECONDS = 10.0
MAX_QUEUED = 10_000
"""Messages that wait in the broker for a slow process; the oldest are dropped first."""
PREFETCH = 200
"""Messages that the broker sends to a process before it has handled earlier ones."""

logger = get_logger(__name__)

OnMessage = Callable[[ReceivedMessage], Awaitable[None]]


async def consume_broadcast(
    amqp_url: str,
    bindings: Sequence[str],
    on_message: OnMessage,
    *,
    name: str,
    stop: Stop,
    on_subscribed: Callable[[], None],
    exchange: str = EXCHANGE,
) -> None:
    """Pass every event that matches `bindings` to `on_message`, until `stop`.

    Reconnects automatically. `on_subscribed` is called whenever messages may have been missed
    before. `name` shows in the broker's list of connections.
    """

    async def deliver(message: AbstractIncomingMessage) -> None:
        try:
            await on_message(read_message(message))
        except NonRetryableError as error:
            logger.warning("message is malformed", error=str(error))
        finally:
            # Without acknowledgements the broker would send everything to a slow process at once.
            await message.ack()

    async def session(outage: Outage) -> None:
        connection = await aio_pika.connect(
            amqp_url,
            timeout=CONNECT_SECONDS,
            heartbeat=HEARTBEAT_SECONDS,
            client_properties={"connection_name": name},
        )
        async with connection:
            closed = asyncio.Event()
            # A broker that is coming back may take a command and never answer it.
            async with asyncio.timeout(DECLARE_SECONDS):
                await ensure_exchange(connection, exchange)
                channel = await connection.channel(publisher_confirms=False)
                channel.close_callbacks.add(lambda *_: closed.set())
                # A queue deleted under its consumer ends the subscription, not the channel.
                underlay = await channel.get_underlay_channel()
                underlay.on_consumer_cancel_callbacks.add(lambda *_: closed.set())
                queue = await _declare(channel, exchange, bindings)
                await channel.set_qos(prefetch_count=PREFETCH)
                await queue.consume(deliver)
            outage.end()
            on_subscribed()
            await _until_closed(closed, stop)

    await keep_connected(stop, session, name=name)


async def _declare(
    channel: AbstractChannel, exchange: str, bindings: Sequence[str]
) -> AbstractQueue:
    queue = await channel.declare_queue(
        exclusive=True,
        auto_delete=True,
        arguments={"x-max-length": MAX_QUEUED},
        timeout=DECLARE_SECONDS,
    )
    for binding in bindings:
        await queue.bind(exchange, binding, timeout=DECLARE_SECONDS)
    return queue


async def _until_closed(closed: asyncio.Event, stop: Stop) -> None:
    waits = [asyncio.create_task(closed.wait()), asyncio.create_task(stop.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if not stop.is_set():
        raise BrokerLost("the channel was closed")
