"""How servers and processes are frozen, cut off and plied with what they have seen before."""

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

API = "/api/connections"
AWAY = (
    OSError,
    TimeoutError,
    aio_pika.exceptions.AMQPError,
    aio_pika.exceptions.ChannelInvalidStateError,
)
"""What a client of the broker hears when the broker goes."""


def freeze(server: Server) -> None:
    """Stop a server where it stands, with all its children; in a container, the container."""
    if container := getattr(server, "container", None):
        container.get_wrapped_container().pause()
    else:
        signal_family(getattr(server, "pid", None), signal.SIGSTOP)


def thaw(server: Server) -> None:
    """Let it go on."""
    if container := getattr(server, "container", None):
        container.get_wrapped_container().unpause()
    else:
        signal_family(getattr(server, "pid", None), signal.SIGCONT)


def signal_family(pid: int | None, sig: signal.Signals) -> None:
    """Signal a process, then its descendants: once stopped it can start no others."""
    if pid is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        parent.send_signal(sig)
        for child in parent.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(sig)


async def cut_off_postgres(url: str) -> None:
    """Drop every connection to the database of a superuser's `url`."""
    try:
        connection = await asyncpg.connect(url, timeout=5)
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return  # it is away: then there are no connections
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()


def cut_off_redis(server: RedisBackend) -> None:
    """Drop every connection of a client."""
    with contextlib.suppress(RedisError), Redis.from_url(server.url(), socket_timeout=5) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal")


def cut_off_rabbitmq(server: RabbitBackend) -> None:
    """Drop every connection that the broker knows of."""
    gone = (OSError, http.client.HTTPException)  # the broker is, or the connection
    with contextlib.suppress(*gone):
        for connection in json.loads(server.api("GET", API)):
            with contextlib.suppress(*gone):
                server.api("DELETE", f"{API}/{quote(connection['name'])}")


async def redeliver(amqp_url: str, most: int = 500) -> None:
    """Publish the last events of the log once more, as at-least-once delivery may."""
    try:
        connection = await aio_pika.connect(amqp_url, timeout=5)
        async with connection, asyncio.timeout(20):
            channel = await connection.channel()
            messages = (await read_log(channel, seconds=5))[-most:]
            exchange = await channel.get_exchange(TOPOLOGY.exchange)
            await asyncio.gather(
                *(
                    exchange.publish(_copy(message), str(message.headers["cloudEvents:type"]))
                    for message in messages
                )
            )
    except AWAY:
        return  # then there is nothing to deliver twice


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
