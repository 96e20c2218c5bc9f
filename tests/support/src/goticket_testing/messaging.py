"""A small topology, messages and polling for tests of the outbox, the relay and consumers."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
from google.protobuf.struct_pb2 import Struct
from goticket_contracts.event_types import BOOKING_CONFIRMED
from goticket_contracts.topology import QueueSpec, Topology
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.consumer import Consumer, Handler, ReceivedMessage
from goticket_platform.messaging.outbox import Outbox, OutboxMessage
from goticket_platform.messaging.relay import Relay

SCHEMA = "booking"
EVENT_TYPE = BOOKING_CONFIRMED

QUEUE = QueueSpec("test.events", ("goticket.booking.booking.*.v1",), retry_seconds=(0.05, 0.1))
SMALL = Topology("test.exchange", "test.log", (QUEUE,))
"""One queue with short retry delays, which is declared and tested quickly."""


def make_message(
    aggregate: uuid.UUID | None = None, version: int = 1, type_: str = EVENT_TYPE
) -> OutboxMessage:
    """Return a message whose payload contains its version."""
    aggregate = aggregate or uuid.uuid4()
    payload = Struct()
    payload.update({"version": version})
    return OutboxMessage(
        type=type_,
        aggregate_id=aggregate,
        aggregate_version=version,
        partition_id=aggregate,
        payload=payload,
        occurred_at=datetime.now(UTC),
    )


async def append(pool: asyncpg.Pool, *messages: OutboxMessage) -> None:
    """Commit messages to the outbox."""
    async with pool.acquire() as connection, connection.transaction():
        await Outbox(SCHEMA).append(connection, messages)


async def pending(pool: asyncpg.Pool) -> int:
    """Return the number of messages in the outbox."""
    count: int = await pool.fetchval("SELECT count(*) FROM booking.outbox")
    return count


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], seconds: float = 30.0
) -> None:
    """Wait until the condition holds; fail when it does not within `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if holds if isinstance(holds, bool) else await holds:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(*mains: Callable[[Stop], Awaitable[None]]) -> AsyncIterator[Stop]:
    """Run relays or consumers during the block, and stop them at its end."""
    stop = Stop()
    tasks = [asyncio.ensure_future(main(stop)) for main in mains]
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 30)


def make_relay(pool: asyncpg.Pool, amqp_url: str, **options: float) -> Relay:
    """Return a relay of the test's schema."""
    return Relay(
        pool,
        amqp_url,
        SCHEMA,
        "/goticket/booking",
        topology=SMALL,
        batch=int(options.get("batch", 50)),
        poll_seconds=options.get("poll_seconds", 0.2),
    )


def make_consumer(amqp_url: str, handle: Handler, prefetch: int = 16) -> Consumer:
    """Return a consumer of the test's queue."""
    return Consumer(amqp_url, QUEUE, handle, prefetch=prefetch, topology=SMALL)


class Received:
    """A message handler that keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[ReceivedMessage] = []

    async def __call__(self, message: ReceivedMessage) -> None:
        """Keep the message."""
        self.messages.append(message)

    @property
    def ids(self) -> set[uuid.UUID]:
        """The distinct message ids."""
        return {message.id for message in self.messages}

    def versions(self, aggregate: uuid.UUID) -> list[int]:
        """Return the versions of one aggregate in the order of their first delivery."""
        subject = str(aggregate)
        versions = [message.version for message in self.messages if message.subject == subject]
        return list(dict.fromkeys(versions))
