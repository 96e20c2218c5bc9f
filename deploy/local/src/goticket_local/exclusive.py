"""A lock between commands of one checkout, such as two `make up` at the same time."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

WAIT_SECONDS = 300.0
POLL_SECONDS = 0.1


class CheckoutBusy(Exception):
    """Another command of this checkout still runs."""


@contextlib.contextmanager
def exclusive(
    file: Path, report: Callable[[str], None], wait_seconds: float = WAIT_SECONDS
) -> Iterator[None]:
    """Hold the lock during the block; wait for the command that holds it.

    The operating system releases the lock when the process ends, however it ends.

    Raises:
        CheckoutBusy: it is still held after `wait_seconds`.
    """
    # Processes that are started during the block do not inherit the lock: Python opens files so.
    with file.open("a+") as opened:
        _acquire(opened.fileno(), file, report, wait_seconds)
        opened.truncate(0)
        opened.write(str(os.getpid()))
        opened.flush()
        yield


def _acquire(
    descriptor: int, file: Path, report: Callable[[str], None], wait_seconds: float
) -> None:
    deadline = time.monotonic() + wait_seconds
    reported = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = f"Another command of this checkout runs (pid {file.read_text() or 'unknown'})"
            if time.monotonic() >= deadline:
                raise CheckoutBusy(f"{holder}; gave up after {wait_seconds:g} s.") from None
            if not reported:
                report(f"{holder}; waiting for it ...")
                reported = True
            time.sleep(POLL_SECONDS)
        else:
            return
