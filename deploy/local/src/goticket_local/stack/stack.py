"""The running processes: migrated, started, checked for readiness and stopped together."""

import contextlib
import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

from goticket_local.mailbox.process import MailboxProcess
from goticket_local.process import Process, StartFailed
from goticket_local.servers.base import minimal_environment
from goticket_local.stack.config import HOST, ProcessConfig, StackConfig, process_configs

READY_SECONDS = 90.0
STOP_SECONDS = 25.0
POLL_SECONDS = 0.1
# The console scripts of this environment: `identity`, `catalog`, ...
SCRIPTS = Path(sys.executable).parent


class Stack:
    """GoTicket's own processes and the mailbox, on servers that already run."""

    def __init__(
        self,
        config: StackConfig,
        *,
        run_dir: Path,
        log_dir: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` adds settings to those of the services, such as BOOKING_LOG_LEVEL."""
        self.config = config
        self.process_configs = {each.command: each for each in process_configs(config)}
        self._environment = dict(environment or {})
        self._processes = {
            name: self._process(each, run_dir, log_dir)
            for name, each in self.process_configs.items()
        }
        ports = config.ports
        self.mailbox = MailboxProcess(
            ports["smtp"], ports["mailbox"], run_dir=run_dir, log_dir=log_dir
        )
        self.base_url = f"http://{HOST}:{ports['gateway']}"

    def process(self, name: str) -> Process:
        """One process by its command, such as "booking relay"."""
        return self._processes[name]

    def migrate(self) -> None:
        """Bring every service's tables up to date. Raises `StartFailed`."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._migrate, self.config.database_urls))

    def start(self, *names: str) -> None:
        """Start processes (all without names) and wait until they are ready.

        A process that runs is left alone. Raises `StartFailed`.
        """
        self.mailbox.start()
        chosen = names or tuple(self.process_configs)
        for name in chosen:
            self._processes[name].start()
        self._wait_ready(chosen)

    def kill(self, name: str, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send a process a signal; after SIGKILL it has ended."""
        self._processes[name].kill(sig)

    def stop(self, name: str) -> int | None:
        """Stop a process with SIGTERM.

        Returns its exit status, or None when another program started it.
        """
        process = self._processes[name]
        process.stop(STOP_SECONDS)
        return process.exit_code

    def stop_all(self) -> list[str]:
        """Stop every process and the mailbox; returns the names of those that were killed."""
        # The gateway first: the other services still answer the requests that it accepted.
        killed = _stop_all([self._processes["gateway serve"]])
        killed += _stop_all(self._processes.values())
        self.mailbox.stop()
        return killed

    def ready(self, name: str) -> bool:
        """Whether a process reports that it accepts work."""
        return _responds_ok(self.process_configs[name].ops_port, "/readyz")

    def _wait_ready(self, names: Iterable[str]) -> None:
        waiting = list(names)
        deadline = time.monotonic() + READY_SECONDS
        while waiting := [name for name in waiting if not self.ready(name)]:
            dead = [name for name in waiting if not self._processes[name].alive]
            if dead or time.monotonic() > deadline:
                raise StartFailed(self._failure(dead or waiting, ended=bool(dead)))
            time.sleep(POLL_SECONDS)

    def _failure(self, names: list[str], *, ended: bool) -> str:
        reason = "ended while starting" if ended else f"not ready after {READY_SECONDS:.0f} s"
        parts = [f"{', '.join(names)}: {reason}."]
        for name in names:
            process = self._processes[name]
            parts.append(f"--- the end of {process.log}:\n{process.log_tail()}")
        return "\n".join(parts)

    def _migrate(self, service: str) -> None:
        url = self.config.database_urls[service]
        done = subprocess.run(
            [str(SCRIPTS / service), "migrate", "up"],
            env=minimal_environment() | {f"{service.upper()}_DATABASE_URL": url},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StartFailed(f"{service} migrate up failed:\n{done.stdout}{done.stderr}")

    def _process(self, config: ProcessConfig, run_dir: Path, log_dir: Path) -> Process:
        program, *arguments = config.command.split()
        additional = {
            name: value
            for name, value in self._environment.items()
            if name.startswith(config.prefix)
        }
        return Process(
            config.command,
            [str(SCRIPTS / program), *arguments],
            env=minimal_environment() | additional | config.environment,
            run_dir=run_dir,
            log=log_dir / f"{config.command.replace(' ', '-')}.log",
        )


def _stop_all(processes: Iterable[Process]) -> list[str]:
    """Stop processes at the same time; returns the names of those that were killed."""

    def stop(process: Process) -> str | None:
        return None if process.stop(STOP_SECONDS) else process.name

    with ThreadPoolExecutor(max_workers=16) as pool:
        return [name for name in pool.map(stop, processes) if name]


def _responds_ok(port: int, path: str) -> bool:
    with contextlib.closing(http.client.HTTPConnection(HOST, port, timeout=5)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
