"""Connects to RabbitMQ once the topology exists, and reconnects after each loss."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from goticket_contracts.topology import Topology

from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.topology import (
    TopologyMismatch,
    TopologyMissing,
    declare_topology,
    ensure_topology,
)
from goticket_platform.postgres import is_transient
from goticket_platform.retry import Outage, is_being_cancelled, retry_until_stopped

CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 2.0
HEARTBEAT_SECONDS = 15
"""A connection without traffic for about three of these is considered lost."""


class NotConnected(Exception):
    """There is no connection to RabbitMQ right now."""


class BrokerLost(Exception):
    """The connection to RabbitMQ ended under work in progress."""


async def set_up_topology(amqp_url: str, topology: Topology) -> None:
    """Declare `topology` as an administrator. Idempotent.

    Raises:
        TopologyMismatch: a queue or exchange exists with other settings.
    """
    connection = await aio_pika.connect(amqp_url, timeout=CONNECT_SECONDS)
    async with connection, connection.channel() as channel:
        await declare_topology(channel, topology)


@asynccontextmanager
async def open_channel(
    amqp_url: str, topology: Topology, *, name: str
) -> AsyncIterator[tuple[AbstractChannel, AbstractExchange]]:
    """Connect, ensure `topology` and yield a confirming channel and the events exchange.

    aio-pika's robust connection is not used, because it restores channels automatically. Here a
    loss must end the work in progress, which then starts again in order. `name` appears in
    the broker's list of connections.
    """
    connection = await aio_pika.connect(
        amqp_url,
        timeout=CONNECT_SECONDS,
        heartbeat=HEARTBEAT_SECONDS,
        client_properties={"connection_name": name},
    )
    try:
        await ensure_topology(connection, topology)
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        yield channel, await channel.get_exchange(topology.exchange, ensure=False)
    finally:
        # A lost broker does not answer the close, and nothing depends on its answer.
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await connection.close()


async def keep_connected(
    stop: Stop, session: Callable[[Outage], Awaitable[object]], *, name: str
) -> None:
    """Run `session` again after each loss of the broker, until `stop`.

    The session calls `end` of its outage when it works. `name` appears in the logs.
    """

    async def run_session(outage: Outage) -> None:
        try:
            await session(outage)
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            raise BrokerLost("the channel was closed") from None

    await retry_until_stopped(stop, run_session, name=name, is_expected=_is_expected)


def _is_expected(error: BaseException) -> bool:
    return is_transient(error) or isinstance(
        error,
        AMQPError
        | ChannelInvalidStateError
        | TimeoutError
        | BrokerLost
        | TopologyMismatch
        | TopologyMissing,
    )
