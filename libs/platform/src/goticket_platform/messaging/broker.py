"""One channel to RabbitMQ with the topology declared, and the loop that brings it back."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from goticket_contracts.topology import Topology

from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.messaging.topology import TopologyMismatch, declare_topology
from goticket_platform.postgres import is_transient

CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 2.0
HEARTBEAT_SECONDS = 15
"""A peer that says nothing for about three of these is taken for dead."""
FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 5.0

logger = get_logger(__name__)


class NotConnected(Exception):
    """There is no connection to RabbitMQ right now."""


class BrokerLost(Exception):
    """The connection to RabbitMQ ended under work in progress."""


class Backoff:
    """Growing, jittered waits between failures, short again after a success."""

    def __init__(self) -> None:
        self._longest = FIRST_BACKOFF_SECONDS

    def reset(self) -> None:
        """Begin anew: something worked."""
        self._longest = FIRST_BACKOFF_SECONDS

    def next_wait(self) -> float:
        """Return how long to wait now (seconds), from half to all of a doubling bound.

        The jitter keeps a fleet from knocking at a restarted broker in step.
        """
        bound = self._longest
        self._longest = min(bound * 2, LONGEST_BACKOFF_SECONDS)
        return bound * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


@asynccontextmanager
async def open_channel(
    amqp_url: str, topology: Topology, *, name: str
) -> AsyncIterator[tuple[AbstractChannel, AbstractExchange]]:
    """Connect, declare `topology` and yield a confirming channel and the events exchange.

    Not aio-pika's robust connection: it brings channels back behind the caller's
    back, while here a loss must end what is in progress, to begin again in order.
    `name` shows in the broker's list of connections.
    """
    connection = await aio_pika.connect(
        amqp_url,
        timeout=CONNECT_SECONDS,
        heartbeat=HEARTBEAT_SECONDS,
        client_properties={"connection_name": name},
    )
    try:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        yield channel, await declare_topology(channel, topology)
    finally:
        # A broker that is gone answers no goodbye, and nothing here depends on one.
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await connection.close()


async def keep_connected(stop: Stop, session: Callable[[Backoff], Awaitable[object]]) -> None:
    """Run `session` again and again until `stop`, backing off after each loss.

    The session calls `reset` on the back-off once it has achieved something.
    """
    backoff = Backoff()
    while not stop.is_set():
        try:
            await session(backoff)
        except asyncio.CancelledError:
            if being_cancelled():
                raise
            await _rest(stop, backoff, BrokerLost("the channel was closed"))
        except Exception as error:  # noqa: BLE001 - whatever it was, the events still must flow
            await _rest(stop, backoff, error)


def being_cancelled() -> bool:
    """Tell whether the current task itself is being cancelled.

    When a connection dies, futures of its client are cancelled, and whoever awaits
    one sees the same CancelledError without anybody wanting it to end.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _rest(stop: Stop, backoff: Backoff, error: Exception) -> None:
    if stop.is_set():
        return
    wait = backoff.next_wait()
    expected = is_transient(error) or isinstance(
        error,
        AMQPError | ChannelInvalidStateError | TimeoutError | BrokerLost | TopologyMismatch,
    )
    logger.warning(
        "disconnected",
        reason=f"{type(error).__name__}: {error}",
        retry_in=round(wait, 2),
        exc_info=None if expected else error,
    )
    await stop.wait(wait)
