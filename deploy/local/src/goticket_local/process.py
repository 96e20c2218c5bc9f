"""One detached process with a pid file that can never name a stranger."""

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

POLL_SECONDS = 0.05
TAIL_BYTES = 20_000


class StartFailed(Exception):
    """A process did not become ready."""


@dataclass(frozen=True)
class Identity:
    """A process across pid reuse: its pid, its start in clock ticks since boot, the boot itself."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The identity of a running process; None when there is none (zombies count as gone)."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        # The command name may hold spaces and brackets; fields are counted after the last ")".
        fields = stat.rpartition(")")[2].split()
        if fields[0] in "ZX":
            return None
        return cls(pid, int(fields[19]), _boot_id())

    @classmethod
    def parse(cls, text: str) -> "Identity | None":
        """What `str()` wrote, or None for anything else."""
        match text.split():
            case [pid, started, boot] if pid.isdigit() and started.isdigit():
                return cls(int(pid), int(started), boot)
        return None

    def __str__(self) -> str:
        return f"{self.pid} {self.started} {self.boot}"

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return Identity.of(self.pid) == self


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Process:
    """A command that runs in a session of its own and outlives whoever started it.

    `user` is the account it runs as when we are root; `stop_signal` asks it to end in order.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        run_dir: Path,
        log: Path,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.env = dict(env)
        self.log = log
        self.user = user
        self.stop_signal = stop_signal
        self.pid_file = run_dir / f"{name.replace(' ', '-')}.pid"
        self.exit_code: int | None = None
        """How it ended, as `subprocess` tells it; known only to whoever started it."""
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @classmethod
    def at(cls, pid_file: Path) -> "Process":
        """The process a pid file names, to look at or to end; it cannot be started again."""
        nowhere = Path(os.devnull)
        return cls(pid_file.stem, [], env={}, run_dir=pid_file.parent, log=nowhere)

    @property
    def identity(self) -> Identity | None:
        """The running process this pid file names, if it still runs."""
        if self._child is not None:
            self._child.poll()  # reaps our own child, so that it does not linger as a zombie
        try:
            recorded = Identity.parse(self.pid_file.read_text())
        except FileNotFoundError:
            return None
        return recorded if recorded is not None and recorded.alive() else None

    @property
    def pid(self) -> int | None:
        """Its pid while it runs."""
        found = self.identity
        return found.pid if found else None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.identity is not None

    def start(self) -> None:
        """Start it unless it runs already; says nothing about readiness."""
        if self.alive:
            return
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._child = subprocess.Popen(
                [*become(self.user), *self.argv],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )
        identity = Identity.of(self._child.pid)
        if identity is None:
            self._child.wait()
            raise StartFailed(f"{self.name} ended at once\n{self.log_tail()}")
        self.pid_file.write_text(f"{identity}\n")

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal; SIGKILL reaches every descendant and returns once they are gone."""
        identity = self.identity
        if identity is None:
            return
        if sig is not signal.SIGKILL:
            _send(identity.pid, sig)
            return
        # Listed before the parent dies and they change parents.
        descendants = _descendants(identity.pid)
        _send(identity.pid, sig)
        for process in descendants:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()  # psutil checks the start time: a recycled pid is left alone
        psutil.wait_procs(descendants, timeout=10)
        if self.wait_gone(10):
            self._forget()

    def stop(self, grace_seconds: float = 25.0) -> bool:
        """Ask it to end, then insist. True when it went by itself within the grace."""
        self.kill(self.stop_signal)
        if self.wait_gone(grace_seconds):
            self._forget()
            return True
        self.kill()
        return False

    def _forget(self) -> None:
        if self._child is not None:
            self.exit_code = self._child.wait()  # it has ended: this only collects it
            self._child = None
        self.pid_file.unlink(missing_ok=True)

    def wait_gone(self, seconds: float) -> bool:
        """Wait until it has ended; False when it has not by then."""
        return wait_until(lambda: not self.alive, seconds)

    def log_tail(self, lines: int = 15) -> str:
        """The end of what it has logged since its start, for a message about why it failed."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - TAIL_BYTES))
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def become(user: str | None) -> list[str]:
    """The beginning of a command line that runs the rest as `user`: empty unless root asks.

    Only root can and needs to change. `subprocess` could do it, but then it forks in full where
    it otherwise calls vfork, and that runs the fork handlers of every library in the process:
    gRPC's kill the child when other threads are in calls.
    """
    if user is None or os.geteuid() != 0:
        return []
    entry = pwd.getpwnam(user)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--init-groups", "--"]


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll a condition until it holds; False when it has not within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _send(pid: int, sig: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)
