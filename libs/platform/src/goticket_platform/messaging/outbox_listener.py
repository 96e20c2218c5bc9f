"""Listens for the outbox's wake-ups; while it cannot, the relay's poll does the work."""

import asyncio
from collections.abc import Callable

import asyncpg

from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger

RETRY_SECONDS = 1.0
"""How often to look for a lost connection and to try again after one."""

logger = get_logger(__name__)


async def listen(pool: asyncpg.Pool, channel: str, wake: Callable[[], None], stop: Stop) -> None:
    """Call `wake` for every notification on `channel` until `stop`; keeps one connection."""
    while not stop.is_set():
        try:
            await _listen_once(pool, channel, wake, stop)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            logger.warning("not listening", channel=channel, reason=type(error).__name__)
            await stop.wait(RETRY_SECONDS)


async def _listen_once(
    pool: asyncpg.Pool, channel: str, wake: Callable[[], None], stop: Stop
) -> None:
    lost = asyncio.Event()

    def on_notification(*_: object) -> None:
        wake()

    def on_loss(_: object) -> None:
        lost.set()

    async with pool.acquire() as connection:
        connection.add_termination_listener(on_loss)
        await connection.add_listener(channel, on_notification)
        try:
            wake()  # for what was committed before anybody listened
            while not lost.is_set() and not await stop.wait(RETRY_SECONDS):
                pass
        finally:
            connection.remove_termination_listener(on_loss)
            await connection.remove_listener(channel, on_notification)
