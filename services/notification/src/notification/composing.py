"""Composes letters beside the event loop, which has other letters' conversations to hold."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from uuid import UUID

from notification.bookings import Notice
from notification.letters import Letter, Letterhead, compose


class Composer:
    """Composes in one thread, one letter after another.

    More threads would only wait for each other, since this is pure computing. Nor do
    processes of its own help a worker: handing notices and letters over costs nearly as much
    as composing. Who has processors to spare starts more workers.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="composer")

    async def compose(
        self, letterhead: Letterhead, notice: Notice, event_id: UUID, now: datetime
    ) -> Letter:
        """Return the letter.

        Raises:
            Unaddressable: the buyer's address is malformed.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, compose, letterhead, notice, event_id, now)

    async def close(self) -> None:
        """End the thread; no letter may be in the making."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
