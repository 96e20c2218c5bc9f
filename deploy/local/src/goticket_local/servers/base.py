"""The base of the private servers: one process each, with a readiness check."""

import os
import shutil
import signal
from pathlib import Path

from goticket_local.process import Process, StartFailed, wait_until


class Server:
    """A server process with a data folder of its own.

    Subclasses prepare the folder, name the process and check its readiness.
    """

    name: str
    start_seconds = 60.0

    def __init__(self, home: Path, run_dir: Path | None, log_dir: Path | None) -> None:
        self.home = home
        self.run_dir = run_dir or home / "run"
        self.log = (log_dir or home) / f"{self.name}.log"

    @property
    def process(self) -> Process:
        """The process, identified by its pid file."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Create folders and configuration. Existing ones are kept."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Whether it serves clients now."""
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
        """Start it unless it runs, and wait until it is ready. Raises `StartFailed`."""
        self.prepare()
        process = self.process
        process.start()
        wait_until(lambda: self.is_ready() or not process.alive, self.start_seconds)
        if not (process.alive and self.is_ready()):
            tail = process.log_tail()
            process.kill()
            raise StartFailed(f"{self.name} did not start; the end of {self.log}:\n{tail}")

    def stop(self, grace_seconds: float = 25.0) -> None:
        """Stop it with its stop signal, and with SIGKILL after the grace period."""
        self.process.stop(grace_seconds)

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal. After SIGKILL the process has ended on return."""
        self.process.kill(sig)

    def discard(self) -> None:
        """Kill it and delete its data."""
        self.kill()
        self.remove()

    def remove(self) -> None:
        """Delete its folder. The server must not run."""
        shutil.rmtree(self.home, ignore_errors=True)

    def restart(self) -> None:
        """Stop and start, on the same data."""
        self.stop()
        self.start()


def minimal_environment() -> dict[str, str]:
    """An environment with PATH and locale only, independent of the caller's settings."""
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": f"{path}:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
