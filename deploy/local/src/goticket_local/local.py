"""The system of one checkout: servers and processes with their data in one folder."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

from goticket_local import system
from goticket_local.concurrency import run_concurrently
from goticket_local.exclusive import exclusive
from goticket_local.manifest import databases, load_services
from goticket_local.ports import describe_process, is_busy, listener
from goticket_local.process import Process
from goticket_local.servers import PostgresServer, RabbitPorts, RabbitServer, RedisServer
from goticket_local.servers.base import Server, minimal_environment
from goticket_local.stack.accounts import ensure_accounts
from goticket_local.stack.bootstrap import bootstrap_script
from goticket_local.stack.broker import bootstrap_broker, service_urls
from goticket_local.stack.config import StackConfig
from goticket_local.stack.ports import Ports, variable
from goticket_local.stack.secrets import Secrets
from goticket_local.stack.stack import Stack

DATABASE = "goticket"
VHOST = "goticket"

Report = Callable[[str], None]
"""Takes a line of progress for the user."""


class PortsBusy(Exception):
    """Another program listens on a port that GoTicket needs."""


class LocalSystem:
    """GoTicket without containers: `up`, `down`, `reset` and the parts they use."""

    def __init__(self, checkout: Path, report: Report) -> None:
        self.checkout = checkout
        self.folder = checkout / ".local"
        self.run_dir = self.folder / "run"
        self.log_dir = self.folder / "logs"
        self.report = report
        self.services = load_services()

    @cached_property
    def ports(self) -> Ports:
        """The ports that the system runs on, or would be started on."""
        runs = any(process.alive for process in self.processes())
        return (Ports.load(self.folder / "ports.json") if runs else None) or Ports.chosen()

    @cached_property
    def secrets(self) -> Secrets:
        """The secrets of this checkout."""
        return Secrets.stored_in(self.folder / "secrets.json")

    @cached_property
    def postgres(self) -> PostgresServer:
        """The database server. It is durable: committed bookings survive a power cut."""
        return PostgresServer(
            self.folder / "postgres",
            self.ports["postgres"],
            password=self.secrets.postgres,
            run_dir=self.run_dir,
            log_dir=self.log_dir,
        )

    @cached_property
    def redis(self) -> RedisServer:
        """The cache."""
        return RedisServer(
            self.folder / "redis",
            self.ports["redis"],
            password=self.secrets.redis,
            run_dir=self.run_dir,
            log_dir=self.log_dir,
        )

    @cached_property
    def rabbitmq(self) -> RabbitServer:
        """The message broker."""
        ports = RabbitPorts(
            amqp=self.ports["rabbitmq"],
            management=self.ports["rabbitmq_management"],
            distribution=self.ports["rabbitmq_distribution"],
            port_mapper=self.ports["rabbitmq_port_mapper"],
        )
        return RabbitServer(
            self.folder / "rabbitmq",
            ports,
            password=self.secrets.rabbitmq,
            run_dir=self.run_dir,
            log_dir=self.log_dir,
        )

    @cached_property
    def servers(self) -> list[Server]:
        """PostgreSQL, Redis and RabbitMQ."""
        return [self.postgres, self.redis, self.rabbitmq]

    @cached_property
    def stack(self) -> Stack:
        """GoTicket's own processes."""
        config = StackConfig(
            ports=self.ports,
            database_urls={
                service: self.postgres.dsn(database.role, self.secrets.roles[service], DATABASE)
                for service, database in databases(self.services).items()
            },
            redis_url=self.redis.url(),
            amqp_urls=service_urls(self.rabbitmq, VHOST, self.services, self.secrets.broker_users),
            secrets=self.secrets.services,
        )
        return Stack(
            config, run_dir=self.run_dir, log_dir=self.log_dir, environment=given_settings()
        )

    def processes(self) -> list[Process]:
        """Every process that has a pid file, running or not."""
        return [Process.at(file) for file in sorted(self.run_dir.glob("*.pid"))]

    @property
    def supervisor(self) -> Process:
        """The process that restarts crashed processes."""
        return Process(
            "supervisor",
            [sys.executable, "-m", "goticket_local.supervisor", str(self.checkout)],
            env=minimal_environment(),
            run_dir=self.run_dir,
            log=self.log_dir / "supervisor.log",
        )

    def up(self) -> None:
        """Start everything that does not run.

        Raises:
            PortsBusy: another program holds a port.
            CannotInstall: a system package is missing.
            StartFailed: a server or process did not become ready.
            CheckoutBusy: another command of this checkout does not end.
        """
        with self.exclusive():
            self._up()

    def exclusive(self) -> AbstractContextManager[None]:
        """Let one command at a time start or stop the processes of this checkout."""
        return exclusive(self.checkout / ".local.lock", self.report)

    def _up(self) -> None:
        began = time.monotonic()
        self._make_folders()
        self.check_ports()
        self.ports.save(self.folder / "ports.json")
        system.ensure_packages()
        self.report("Starting PostgreSQL, Redis and RabbitMQ ...")
        # Built before the threads start: since Python 3.12 a cached_property takes no lock, and two
        # threads would generate different secrets.
        _ = self.servers, self.stack
        run_concurrently(self._start_database, self.redis.start, self._start_broker)
        self.report("Starting GoTicket ...")
        self.stack.start()
        ensure_accounts(self.stack.base_url)
        self.supervisor.start()
        self.report(f"Ready after {time.monotonic() - began:.0f} s.")

    def down(self) -> None:
        """Stop every process that was started from this checkout. Raises `CheckoutBusy`."""
        with self.exclusive():
            self._down()

    def _down(self) -> None:
        if not any(process.alive for process in self.processes()):
            self.report("Nothing runs.")
        else:
            self.report("Stopping ...")
            self.supervisor.stop()
            for name in self.stack.stop_all():
                self.report(f"{name} did not stop in time and was killed.")
            run_concurrently(*(server.stop for server in self.servers))
            self.report("Stopped.")
        (self.folder / "ports.json").unlink(missing_ok=True)

    def reset(self) -> None:
        """Stop everything and delete all data. Raises `CheckoutBusy`."""
        with self.exclusive():
            self._down()
            if self.folder.exists():
                for server in self.servers:
                    server.remove()
                shutil.rmtree(self.folder)
        self.report("All local data is deleted.")

    def check_ports(self) -> None:
        """Raise `PortsBusy` naming each port that another program holds."""
        own_pids = {process.pid for process in self.processes()} - {None}
        conflicts = []
        for name, port in self.ports.numbers.items():
            if not is_busy(port):
                continue
            holder = listener(port)
            if own_pids and (holder is None or _belongs(holder, own_pids)):
                continue
            conflicts.append(_conflict(name, port, describe_process(holder) if holder else ""))
        if conflicts:
            raise PortsBusy("\n".join(conflicts))

    def _make_folders(self) -> None:
        # Only the user may list it; PostgreSQL's account, where it differs, may pass through.
        self.folder.mkdir(mode=0o711, exist_ok=True)
        for folder in (self.run_dir, self.log_dir):
            folder.mkdir(mode=0o700, exist_ok=True)

    def _start_database(self) -> None:
        self.postgres.start()
        self.postgres.create_database(DATABASE)
        self.postgres.run_sql(DATABASE, bootstrap_script(self.services, self.secrets.roles))
        self.stack.migrate()

    def _start_broker(self) -> None:
        self.rabbitmq.start()
        bootstrap_broker(self.rabbitmq, VHOST, self.services, self.secrets.broker_users)


def given_settings() -> dict[str, str]:
    """The services' settings in this process's environment: BOOKING_LOG_LEVEL=DEBUG make up."""
    prefixes = tuple(service.prefix for service in load_services())
    return {name: value for name, value in os.environ.items() if name.startswith(prefixes)}


def _belongs(process: psutil.Process, own_pids: Collection[int | None]) -> bool:
    """Whether a process belongs to the system or descends from such a process."""
    try:
        return process.pid in own_pids or any(
            parent.pid in own_pids for parent in process.parents()
        )
    except psutil.NoSuchProcess:
        return True  # it has just ended and no longer holds the port


def _conflict(name: str, port: int, holder: str) -> str:
    return (
        f"Port {port} ({name.replace('_', ' ')}) is busy{f': {holder}' if holder else ''}. "
        f"Stop that program, or choose another port: {variable(name)}=<port> make up"
    )
