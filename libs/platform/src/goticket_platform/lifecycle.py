"""One stop event a process: SIGTERM or SIGINT sets it, everything that waits listens to it."""

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
"""How long a process may take from the stop signal to its end."""
GARBAGE = (50_000, 20, 20)
"""How many more objects than at the last time make the garbage collector look at the young
ones, and how many such looks at the older and at all. Two thousand requests that wait are a
hundred thousand objects, none of them garbage: with Python's own (700, 10, 10) to look for
some among them took a sixth of the gateway's time."""

logger = get_logger(__name__)


class Stop:
    """The one event that ends a process; every wait can be interrupted by it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Begin to stop."""
        self._event.set()

    def is_set(self) -> bool:
        """Tell whether the process is stopping."""
        return self._event.is_set()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for the stop, at most `timeout` seconds; tell whether it came."""
        try:
            await asyncio.wait_for(self._event.wait(), timeout)
        except TimeoutError:
            return False
        return True


def run(main: Callable[[Stop], Awaitable[None]]) -> None:
    """Run `main` until it returns; after a stop signal it has GRACE_SECONDS to finish.

    A second signal, or the end of the grace, ends the process at once with status 1:
    a stuck drain must not outlive the orchestrator's patience.
    """
    _settle()
    uvloop.run(_supervise(main))
    shutdown_tracing()


def _settle() -> None:
    """Keep the garbage collector from what was imported, which is there to stay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


async def _supervise(main: Callable[[Stop], Awaitable[None]]) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()

    def on_signal(name: str) -> None:
        if stop.is_set():
            _give_up("second signal")
        logger.info("stopping", signal=name)
        stop.set()
        # A thread, not a loop timer: it must also fire when the loop itself is stuck.
        timer = threading.Timer(GRACE_SECONDS, _give_up, ["grace is over"])
        timer.daemon = True
        timer.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)
    await main(stop)
    logger.info("stopped")


def _give_up(reason: str) -> None:
    logger.error("stopped hard", reason=reason)
    os._exit(1)
