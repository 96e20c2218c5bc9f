"""The life of a process: one stop event, which SIGTERM or SIGINT sets and every wait obeys."""

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Awaitable, Callable

import uvloop

from goticket_platform.logs import get_logger
from goticket_platform.telemetry import shutdown_tracing

GRACE_SECONDS = 20.0
"""The grace period: how long a process may run after the stop signal."""
GC_THRESHOLDS = (50_000, 20, 20)
"""Thresholds of the three garbage collector generations (see `gc.set_threshold`). Two thousand
waiting requests are a hundred thousand live objects. With Python's defaults (700, 10, 10) the
collector took a sixth of the gateway's CPU time to traverse them."""

logger = get_logger(__name__)


class Stop:
    """The event that ends a process. It can interrupt every wait."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Request the stop."""
        self._event.set()

    def is_set(self) -> bool:
        """Return whether the stop was requested."""
        return self._event.is_set()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for the stop, at most `timeout` seconds; return whether it was requested."""
        try:
            await asyncio.wait_for(self._event.wait(), timeout)
        except TimeoutError:
            return False
        return True


def run(main: Callable[[Stop], Awaitable[None]]) -> None:
    """Run `main` until it returns; after a stop signal it has GRACE_SECONDS to finish.

    A second signal, or the end of the grace period, ends the process at once with status 1,
    before the orchestrator kills it.
    """
    _configure_garbage_collector()
    uvloop.run(_supervise(main))
    shutdown_tracing()


def _configure_garbage_collector() -> None:
    """Exclude imported objects from collection, since they stay until the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def _supervise(main: Callable[[Stop], Awaitable[None]]) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()

    def on_signal(name: str) -> None:
        if stop.is_set():
            _exit_now("second signal")
        logger.info("stopping", signal=name)
        stop.set()
        # A thread, not a loop timer: it must also fire when the loop is blocked.
        timer = threading.Timer(GRACE_SECONDS, _exit_now, ["grace period exceeded"])
        timer.daemon = True
        timer.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)
    await main(stop)
    logger.info("stopped")


def _exit_now(reason: str) -> None:
    logger.error("forced exit", reason=reason)
    os._exit(1)
