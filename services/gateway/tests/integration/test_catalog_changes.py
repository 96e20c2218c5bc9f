"""Every gateway process consumes the catalog's messages from a real RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aio_pika
from aio_pika import ExchangeType, Message
from gateway.cache.cache_invalidation import consume_catalog
from goticket_contracts.event_types import BOOKING_CONFIRMED, EVENT_CANCELLED, EVENT_UPDATED
from goticket_contracts.topology import EXCHANGE
from goticket_platform.ids import new_id
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.cloudevents import PublishedMessage, build_amqp_message

DEADLINE = 60.0


@dataclass
class Gateway:
    """The messages that one gateway received."""

    changes: list[tuple[str, int]] = field(default_factory=list)
    subscriptions: int = 0

    async def on_changed(self, event_id: str, version: int) -> None:
        self.changes.append((event_id, version))

    def on_subscribed(self) -> None:
        self.subscriptions += 1

    async def until_subscribed(self, times: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while self.subscriptions < times:
                await asyncio.sleep(0.01)

    async def until_received(self, changes: list[tuple[str, int]]) -> None:
        async with asyncio.timeout(DEADLINE):
            while self.changes != changes:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def consuming(amqp_url: str) -> AsyncIterator[Gateway]:
    gateway, stop = Gateway(), Stop()
    task = asyncio.create_task(
        consume_catalog(amqp_url, gateway.on_changed, gateway.on_subscribed, stop)
    )
    try:
        await gateway.until_subscribed(1)
        yield gateway
    finally:
        stop.set()
        await asyncio.wait_for(task, DEADLINE)


@asynccontextmanager
async def publisher(amqp_url: str) -> AsyncIterator[aio_pika.abc.AbstractExchange]:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        yield await channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True)


def message(type_: str, subject: str, version: int) -> Message:
    published = PublishedMessage(
        id=new_id(),
        type=type_,
        source="/goticket/catalog",
        subject=subject,
        version=version,
        partition_key=subject,
        occurred_at=datetime.now(UTC),
        payload="{}",
    )
    return build_amqp_message(published, {})


async def test_every_gateway_receives_every_change_of_the_catalog(amqp_url: str) -> None:
    async with (
        consuming(amqp_url) as one,
        consuming(amqp_url) as two,
        publisher(amqp_url) as exchange,
    ):
        await exchange.publish(message(EVENT_UPDATED, "a", 2), EVENT_UPDATED)
        await exchange.publish(Message(b"nonsense"), EVENT_UPDATED)
        await exchange.publish(message(BOOKING_CONFIRMED, "b", 1), BOOKING_CONFIRMED)
        await exchange.publish(message(EVENT_CANCELLED, "a", 3), EVENT_CANCELLED)
        for gateway in (one, two):
            await gateway.until_received([("a", 2), ("a", 3)])
