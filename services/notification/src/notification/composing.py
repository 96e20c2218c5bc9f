"""Processes that compose letters: a ticket is milliseconds of pure computing."""

import asyncio
import os
import signal
import threading
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from datetime import datetime
from multiprocessing import get_context, parent_process
from typing import Protocol
from uuid import UUID

from goticket_platform.logs import get_logger

from notification.bookings import Notice
from notification.letters import Letter, Letterhead, compose

logger = get_logger(__name__)


class Composer(Protocol):
    """Writes letters without holding up the event loop."""

    async def compose(
        self, letterhead: Letterhead, notice: Notice, event_id: UUID, now: datetime
    ) -> Letter:
        """Return the letter.

        Raises:
            Unaddressable: the buyer's address is malformed.
        """
        ...


class ProcessComposer:
    """Composes in up to `processes` processes, started when they are first needed.

    A letter whose process dies fails, together with those beside it, and so is tried
    again; the next letter gets new processes.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool = self._new_pool()

    async def compose(
        self, letterhead: Letterhead, notice: Notice, event_id: UUID, now: datetime
    ) -> Letter:
        """Return the letter."""
        pool = self._pool
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(pool, compose, letterhead, notice, event_id, now)
        except BrokenExecutor:
            if self._pool is pool:  # else a neighbour was first
                logger.error("a composing process died")
                pool.shutdown(wait=False)
                self._pool = self._new_pool()
            raise

    async def close(self) -> None:
        """End the processes; no letter may be in the making."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        # Not by fork: this process has threads, whose locks would be copied as they are.
        return ProcessPoolExecutor(self._processes, get_context("spawn"), _follow_the_parent)


def _follow_the_parent() -> None:
    """End with the parent, however it ends, and not before: it has letters to finish."""
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_, signal.SIG_IGN)
    threading.Thread(target=_exit_after_the_parent, daemon=True).start()


def _exit_after_the_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
