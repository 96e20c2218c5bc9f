"""The running processes: migrated, started, awaited and stopped together."""

import contextlib
import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

from goticket_local.inbox.process import InboxProcess
from goticket_local.process import Process, StartFailed
from goticket_local.servers.base import plain_environment
from goticket_local.stack.services import (
    HOST,
    SERVICES_WITH_TABLES,
    Service,
    StackConfig,
    services,
)

READY_SECONDS = 90.0
STOP_SECONDS = 25.0
POLL_SECONDS = 0.1
# Where this environment's console scripts are: `identity`, `catalog`, ...
SCRIPTS = Path(sys.executable).parent


class Stack:
    """GoTicket's own processes and the inbox, on servers that are there already."""

    def __init__(
        self,
        config: StackConfig,
        *,
        run_dir: Path,
        log_dir: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` adds settings to the table's, such as BOOKING_LOG_LEVEL."""
        self.config = config
        self.services = {service.command: service for service in services(config)}
        self._environment = dict(environment or {})
        self._processes = {
            name: self._process(service, run_dir, log_dir)
            for name, service in self.services.items()
        }
        ports = config.ports
        self.inbox = InboxProcess(ports.smtp, ports.inbox, run_dir=run_dir, log_dir=log_dir)
        self.base_url = f"http://{HOST}:{ports.gateway}"

    def process(self, name: str) -> Process:
        """One process by its command, such as "booking relay"."""
        return self._processes[name]

    def migrate(self) -> None:
        """Bring every service's tables up to date. Raises `StartFailed`."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._migrate, SERVICES_WITH_TABLES))

    def start(self, *names: str) -> None:
        """Start processes (all without names) and wait until they are ready.

        Harmless for what runs. Raises `StartFailed`.
        """
        self.inbox.start()
        chosen = names or tuple(self.services)
        for name in chosen:
            self._processes[name].start()
        self._wait_ready(chosen)

    def kill(self, name: str, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send a process a signal; after SIGKILL it is gone."""
        self._processes[name].kill(sig)

    def stop(self, name: str) -> int | None:
        """Stop a process in order; returns its exit status where it was started from here."""
        process = self._processes[name]
        process.stop(STOP_SECONDS)
        return process.exit_code

    def stop_all(self) -> list[str]:
        """Stop every process and the inbox; returns the names of those that had to be killed."""
        # The gateway first: what it has accepted is still answered by the others.
        late = _stop_all([self._processes["gateway serve"]])
        late += _stop_all(self._processes.values())
        self.inbox.stop()
        return late

    def ready(self, name: str) -> bool:
        """Whether a process says that it wants work."""
        return _answers(self.services[name].ops_port, "/readyz")

    def _wait_ready(self, names: Iterable[str]) -> None:
        waiting = list(names)
        deadline = time.monotonic() + READY_SECONDS
        while waiting := [name for name in waiting if not self.ready(name)]:
            dead = [name for name in waiting if not self._processes[name].alive]
            if dead or time.monotonic() > deadline:
                raise StartFailed(self._why_not(dead or waiting, ended=bool(dead)))
            time.sleep(POLL_SECONDS)

    def _why_not(self, names: list[str], *, ended: bool) -> str:
        what = "ended while starting" if ended else f"not ready after {READY_SECONDS:.0f} s"
        parts = [f"{', '.join(names)}: {what}."]
        for name in names:
            process = self._processes[name]
            parts.append(f"--- the end of {process.log}:\n{process.log_tail()}")
        return "\n".join(parts)

    def _migrate(self, service: str) -> None:
        url = self.config.database_urls[service]
        done = subprocess.run(
            [str(SCRIPTS / service), "migrate", "up"],
            env=plain_environment() | {f"{service.upper()}_DATABASE_URL": url},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StartFailed(f"{service} migrate up failed:\n{done.stdout}{done.stderr}")

    def _process(self, service: Service, run_dir: Path, log_dir: Path) -> Process:
        program, *arguments = service.command.split()
        inherited = {
            name: value
            for name, value in self._environment.items()
            if name.startswith(service.prefix)
        }
        return Process(
            service.command,
            [str(SCRIPTS / program), *arguments],
            env=plain_environment() | inherited | service.environment,
            run_dir=run_dir,
            log=log_dir / f"{service.command.replace(' ', '-')}.log",
        )


def _stop_all(processes: Iterable[Process]) -> list[str]:
    """Stop processes at the same time; return the names of those that had to be killed."""

    def stop(process: Process) -> str | None:
        return None if process.stop(STOP_SECONDS) else process.name

    with ThreadPoolExecutor(max_workers=16) as pool:
        return [name for name in pool.map(stop, processes) if name]


def at_once(*actions: Callable[[], object]) -> None:
    """Do independent things at the same time; raises the first one's error."""
    with ThreadPoolExecutor(max_workers=len(actions)) as pool:
        for done in [pool.submit(action) for action in actions]:
            done.result()


def _answers(port: int, path: str) -> bool:
    with contextlib.closing(http.client.HTTPConnection(HOST, port, timeout=5)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
