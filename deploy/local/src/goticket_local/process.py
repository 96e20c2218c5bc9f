"""One detached process with a pid file that survives the reuse of pids."""

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
        """The identity of a running process; None if it has ended or is a zombie."""
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
        """Parse the text that `str()` returns; None for any other text."""
        match text.split():
            case [pid, started, boot] if pid.isdigit() and started.isdigit():
                return cls(int(pid), int(started), boot)
        return None

    def __str__(self) -> str:
        return f"{self.pid} {self.started} {self.boot}"

    def alive(self) -> bool:
        """Whether this process still runs."""
        return Identity.of(self.pid) == self


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Process:
    """A command that runs in a session of its own and outlives the program that started it.

    As root, the command runs as the account `user`. `stop_signal` starts its orderly shutdown.
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
        """Its exit status in `subprocess` form; known only to the program that started it."""
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @classmethod
    def at(cls, pid_file: Path) -> "Process":
        """The process of a pid file, to inspect or to stop. It cannot be started again."""
        nowhere = Path(os.devnull)
        return cls(pid_file.stem, [], env={}, run_dir=pid_file.parent, log=nowhere)

    @property
    def identity(self) -> Identity | None:
        """The running process this pid file names, if it still runs."""
        if self._child is not None:
            self._child.poll()  # collects an ended child, which would stay a zombie
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
        """Start it unless it runs; does not wait until it is ready."""
        if self.alive:
            return
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._child = subprocess.Popen(
                [*run_as(self.user), *self.argv],
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
            raise StartFailed(f"{self.name} ended immediately\n{self.log_tail()}")
        self.pid_file.write_text(f"{identity}\n")

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal. SIGKILL also kills every descendant, and returns when all have ended."""
        identity = self.identity
        if identity is None:
            return
        if sig is not signal.SIGKILL:
            _send(identity.pid, sig)
            return
        # Listed first: the descendants of a dead process have another parent.
        descendants = _descendants(identity.pid)
        _send(identity.pid, sig)
        for process in descendants:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()  # psutil checks the start time and ignores a reused pid
        psutil.wait_procs(descendants, timeout=10)
        if self.wait_ended(10):
            self._clean_up()

    def stop(self, grace_seconds: float = 25.0) -> bool:
        """Send the stop signal, then SIGKILL. True if it ended within the grace period."""
        self.kill(self.stop_signal)
        if self.wait_ended(grace_seconds):
            self._clean_up()
            return True
        self.kill()
        return False

    def _clean_up(self) -> None:
        if self._child is not None:
            self.exit_code = self._child.wait()  # the process has ended: this collects its status
            self._child = None
        self.pid_file.unlink(missing_ok=True)

    def wait_ended(self, seconds: float) -> bool:
        """Wait until it has ended; False after `seconds`."""
        return wait_until(lambda: not self.alive, seconds)

    def log_tail(self, lines: int = 15) -> str:
        """The last lines that it has logged since its start, for an error message."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - TAIL_BYTES))
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def run_as(user: str | None) -> list[str]:
    """The words before a command that run it as `user`. Empty unless this process is root.

    `subprocess` can change the account too, but then it forks instead of calling vfork. A fork
    runs the fork handlers of every library: gRPC's handlers kill the child when other threads
    are in calls.
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
    """Poll a condition until it holds; False after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _send(pid: int, sig: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)
