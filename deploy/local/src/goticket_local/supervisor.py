"""Restarts crashed processes: the local replacement of an orchestrator.

It watches GoTicket's own processes and the mailbox, not PostgreSQL, Redis and RabbitMQ:
the services wait for those, and `make up` starts those that do not run.
"""

import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

from goticket_local.local import LocalSystem
from goticket_local.process import Process

CHECK_SECONDS = 1.0
# The delay before a process that keeps crashing is restarted, doubled after each restart.
FIRST_DELAY_SECONDS = 1.0
MAX_DELAY_SECONDS = 30.0


def supervise(watched: Sequence[Process], report: Callable[[str], None], stop: Event) -> None:
    """Restart ended processes until `stop` is set."""
    delays: dict[str, float] = {}
    not_before: dict[str, float] = {}
    while not stop.wait(CHECK_SECONDS):
        for process in watched:
            if process.alive or time.monotonic() < not_before.get(process.name, 0.0):
                continue
            report(f"{process.name} has ended; restarting it")
            delays[process.name] = min(
                delays.get(process.name, FIRST_DELAY_SECONDS / 2) * 2, MAX_DELAY_SECONDS
            )
            not_before[process.name] = time.monotonic() + delays[process.name]
            process.start()


def main() -> None:
    """Run from the command line."""
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    system = LocalSystem(Path(sys.argv[1]), lambda text: print(text, flush=True))
    stack = system.stack
    watched = [*map(stack.process, stack.process_configs), stack.mailbox.process]
    supervise(watched, system.report, stop)


if __name__ == "__main__":
    main()
