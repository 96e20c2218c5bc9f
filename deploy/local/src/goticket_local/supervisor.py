"""Starts again what crashed: the local stand-in for an orchestrator.

It watches GoTicket's own processes and the mail inbox, not PostgreSQL, Redis and RabbitMQ:
the services wait for those, and `make up` starts whichever of them does not run.
"""

import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

from goticket_local.process import Process
from goticket_local.servers.base import plain_environment

CHECK_SECONDS = 1.0
# A process that keeps crashing is tried again after this long, not at once.
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0


def supervisor(checkout: Path, run_dir: Path, log_dir: Path) -> Process:
    """The supervisor of a checkout's system."""
    return Process(
        "supervisor",
        [sys.executable, "-m", "goticket_local.supervisor", str(checkout)],
        env=plain_environment(),
        run_dir=run_dir,
        log=log_dir / "supervisor.log",
    )


def supervise(watched: Sequence[Process], say: Callable[[str], None], stop: Event) -> None:
    """Watch processes until asked to stop."""
    pauses: dict[str, float] = {}
    not_before: dict[str, float] = {}
    while not stop.wait(CHECK_SECONDS):
        for process in watched:
            if process.alive or time.monotonic() < not_before.get(process.name, 0.0):
                continue
            say(f"{process.name} has ended; starting it again")
            pauses[process.name] = min(
                pauses.get(process.name, FIRST_PAUSE_SECONDS / 2) * 2, LONGEST_PAUSE_SECONDS
            )
            not_before[process.name] = time.monotonic() + pauses[process.name]
            process.start()


def main() -> None:
    """Run from the command line."""
    from goticket_local.local import LocalSystem  # it starts us: each knows the other

    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    system = LocalSystem(Path(sys.argv[1]), lambda text: print(text, flush=True))
    stack = system.stack
    supervise([*map(stack.process, stack.services), stack.inbox.process], system.say, stop)


if __name__ == "__main__":
    main()
