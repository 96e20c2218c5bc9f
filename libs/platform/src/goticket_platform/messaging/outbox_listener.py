"""Receives the outbox's notifications. While it is disconnected, the relay polls."""

import asyncio
from collections.abc import Callable

import asyncpg

from goticket_platform.lifecycle import Stop
from goticket_platform.postgres import is_transient
from goticket_platform.retry import Outage, retry_until_stopped


class ListenerLost(Exception):
    """The connection that receives notifications ended."""


async def listen(pool: asyncpg.Pool, channel: str, wake: Callable[[], None], stop: Stop) -> None:
    """Call `wake` for every notification on `channel` until `stop`. Uses one connection."""

    async def session(outage: Outage) -> None:
        await _listen_once(pool, channel, wake, stop, outage)

    await retry_until_stopped(
        stop,
        session,
        name=f"listener of {channel}",
        is_expected=lambda error: is_transient(error) or isinstance(error, ListenerLost),
    )


async def _listen_once(
    pool: asyncpg.Pool, channel: str, wake: Callable[[], None], stop: Stop, outage: Outage
) -> None:
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_notification(*_: object) -> None:
        wake()

    def on_loss(_: object) -> None:
        if not lost.done():
            lost.set_result(None)

    async with pool.acquire() as connection:
        connection.add_termination_listener(on_loss)
        await connection.add_listener(channel, on_notification)
        outage.end()
        stopping = asyncio.create_task(stop.wait())
        try:
            wake()  # for messages that were committed before the listener was added
            await asyncio.wait((stopping, lost), return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                raise ListenerLost
        finally:
            stopping.cancel()
            connection.remove_termination_listener(on_loss)
            await connection.remove_listener(channel, on_notification)
