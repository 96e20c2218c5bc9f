"""Composes letters, long ones beside the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from uuid import UUID

from notification.bookings import Notice
from notification.letters import Letter, Letterhead, compose

SHORT = 10
"""Letters with so many tickets or fewer are composed on the spot: two tickets take 2 ms."""


class Composer:
    """Composes short letters on the spot and long ones in one thread, one after another.

    The loop has other letters' conversations to hold, but handing a letter to a thread and
    back costs a worker a sixth of its letters or more. More threads would only wait for each
    other, since this is pure computing. Nor do processes of its own help a worker: handing notices
    and letters over costs nearly as much as composing. Who has processors to spare starts
    more workers.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="composer")

    async def compose(
        self, letterhead: Letterhead, notice: Notice, message_id: UUID, now: datetime
    ) -> Letter:
        """Return the letter.

        Raises:
            Unaddressable: the buyer's address is malformed.
        """
        if len(notice.booking.tickets) <= SHORT:
            return compose(letterhead, notice, message_id, now)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, compose, letterhead, notice, message_id, now
        )

    async def close(self) -> None:
        """End the thread; no letter may be in the making."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
