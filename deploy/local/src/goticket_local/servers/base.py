"""What the private servers have in common: one process, awaited until it answers."""

import os
import shutil
import signal
from pathlib import Path

from goticket_local.process import Process, StartFailed, wait_until


class Server:
    """A server process with a data folder of its own.

    Subclasses prepare the folder, name the process and know when it answers.
    """

    name: str
    start_seconds = 60.0

    def __init__(self, home: Path, run_dir: Path | None, log_dir: Path | None) -> None:
        self.home = home
        self.run_dir = run_dir or home / "run"
        self.log = (log_dir or home) / f"{self.name}.log"

    @property
    def process(self) -> Process:
        """The process; made anew by subclasses, known by its pid file."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Create folders and configuration; harmless when they exist."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether a client would be served now."""
        raise NotImplementedError

    @property
    def pid(self) -> int | None:
        """Its pid while it runs."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.process.alive

    def start(self) -> None:
        """Start it and wait until it answers; harmless when it runs. Raises `StartFailed`."""
        self.prepare()
        process = self.process
        process.start()
        wait_until(lambda: self.answers() or not process.alive, self.start_seconds)
        if not (process.alive and self.answers()):
            tail = process.log_tail()
            process.kill()
            raise StartFailed(f"{self.name} did not start; the end of {self.log}:\n{tail}")

    def stop(self, grace_seconds: float = 25.0) -> None:
        """Stop it in order, by force after the grace."""
        self.process.stop(grace_seconds)

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal; with SIGKILL it is gone on return, like in a power cut."""
        self.process.kill(sig)

    def discard(self) -> None:
        """End it for good: at once, and with its data."""
        self.kill()
        self.remove()

    def remove(self) -> None:
        """Delete its folder; it must not run."""
        shutil.rmtree(self.home, ignore_errors=True)

    def restart(self) -> None:
        """Stop and start, on the same data."""
        self.stop()
        self.start()


def plain_environment() -> dict[str, str]:
    """An environment without the caller's settings, in which a server starts the same anywhere."""
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": f"{path}:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
