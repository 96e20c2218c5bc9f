"""A slow process receives a bounded number of broadcast messages at once."""

import asyncio
import uuid
from datetime import UTC, datetime

from aio_pika import Message, connect
from goticket_contracts.event_types import EVENT_UPDATED
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.broadcast import PREFETCH, consume_broadcast
from goticket_platform.messaging.cloudevents import (
    PublishedMessage,
    ReceivedMessage,
    build_amqp_message,
)
from goticket_testing.messaging import eventually, running

EXCHANGE = "test.broadcast"
MESSAGES = 3 * PREFETCH


class SlowHandler:
    """Handles no message before it is released; counts those in progress."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.in_progress = 0
        self.most = 0
        self.handled = 0

    async def __call__(self, _: ReceivedMessage) -> None:
        self.in_progress += 1
        self.most = max(self.most, self.in_progress)
        await self.released.wait()
        self.in_progress -= 1
        self.handled += 1


async def test_a_slow_process_holds_a_bounded_number_of_messages(amqp_url: str) -> None:
    handler, subscribed = SlowHandler(), asyncio.Event()

    async def subscribe(stop: Stop) -> None:
        await consume_broadcast(
            amqp_url,
            [EVENT_UPDATED],
            handler,
            name="test",
            stop=stop,
            on_subscribed=subscribed.set,
            exchange=EXCHANGE,
        )

    async with running(subscribe):
        await asyncio.wait_for(subscribed.wait(), 30)
        async with await connect(amqp_url) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange(EXCHANGE, ensure=False)
            # Each publish returns after the broker's confirm.
            for number in range(MESSAGES):
                await exchange.publish(_message(number), EVENT_UPDATED)
        await eventually(lambda: handler.in_progress == PREFETCH)
        handler.released.set()
        await eventually(lambda: handler.handled == MESSAGES)
    assert handler.most == PREFETCH


def _message(version: int) -> Message:
    return build_amqp_message(
        PublishedMessage(
            id=uuid.uuid4(),
            type=EVENT_UPDATED,
            source="/goticket/catalog",
            subject="event",
            version=version,
            partition_key="event",
            occurred_at=datetime.now(UTC),
            payload="{}",
        ),
        {},
    )
