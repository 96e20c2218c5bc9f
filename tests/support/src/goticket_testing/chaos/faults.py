"""Faults of servers and processes: freeze, disconnect, publish messages again."""

import asyncio
import contextlib
import http.client
import json
import signal
from urllib.parse import quote

import aio_pika
import asyncpg
import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
from goticket_contracts.topology import TOPOLOGY
from redis import Redis, RedisError

from goticket_testing.backend import RabbitBackend, RedisBackend, Server
from goticket_testing.chaos.snapshot import read_log

CONNECTIONS_API = "/api/connections"
BROKER_ERRORS = (
    OSError,
    TimeoutError,
    aio_pika.exceptions.AMQPError,
    aio_pika.exceptions.ChannelInvalidStateError,
)
"""Errors that a client raises when the broker is unavailable."""


def freeze(server: Server) -> None:
    """Suspend a server with its child processes, or its container."""
    if container := getattr(server, "container", None):
        container.get_wrapped_container().pause()
    else:
        signal_tree(getattr(server, "pid", None), signal.SIGSTOP)


def unfreeze(server: Server) -> None:
    """Resume a frozen server."""
    if container := getattr(server, "container", None):
        container.get_wrapped_container().unpause()
    else:
        signal_tree(getattr(server, "pid", None), signal.SIGCONT)


def signal_tree(pid: int | None, sig: signal.Signals) -> None:
    """Signal a process, then its descendants; a stopped parent cannot start new ones."""
    if pid is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        parent.send_signal(sig)
        for child in parent.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(sig)


async def disconnect_postgres(url: str) -> None:
    """Terminate every connection to the database of a superuser's `url`."""
    try:
        connection = await asyncpg.connect(url, timeout=5)
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return  # the server is down, so it has no connections
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()


def disconnect_redis(server: RedisBackend) -> None:
    """Terminate every client connection."""
    with contextlib.suppress(RedisError), Redis.from_url(server.url(), socket_timeout=5) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal")


def disconnect_rabbitmq(server: RabbitBackend) -> None:
    """Terminate every connection that the management API lists."""
    unavailable = (OSError, http.client.HTTPException)
    with contextlib.suppress(*unavailable):
        for connection in json.loads(server.api("GET", CONNECTIONS_API)):
            with contextlib.suppress(*unavailable):
                server.api("DELETE", f"{CONNECTIONS_API}/{quote(connection['name'])}")


async def redeliver(amqp_url: str, limit: int = 500) -> None:
    """Publish the last messages of the event log again, as at-least-once delivery may."""
    try:
        connection = await aio_pika.connect(amqp_url, timeout=5)
        async with connection, asyncio.timeout(20):
            channel = await connection.channel()
            messages = (await read_log(channel, seconds=5))[-limit:]
            exchange = await channel.get_exchange(TOPOLOGY.exchange)
            await asyncio.gather(
                *(
                    exchange.publish(_copy(message), str(message.headers["cloudEvents:type"]))
                    for message in messages
                )
            )
    except BROKER_ERRORS:
        return  # the broker is unavailable, so there is nothing to deliver twice


def _copy(message: aio_pika.abc.AbstractMessage) -> aio_pika.Message:
    return aio_pika.Message(
        message.body,
        headers={k: v for k, v in message.headers.items() if not k.startswith("x-")},
        content_type=message.content_type,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=message.message_id,
        type=message.type,
        timestamp=message.timestamp,
    )
