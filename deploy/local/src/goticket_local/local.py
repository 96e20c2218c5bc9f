"""The system of one checkout: servers and processes with their data under one folder."""

import os
import shutil
import time
from collections.abc import Callable, Collection
from functools import cached_property
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

from goticket_local import system
from goticket_local.ports import described, is_busy, listener
from goticket_local.process import Process
from goticket_local.servers import PostgresServer, RabbitPorts, RabbitServer, RedisServer
from goticket_local.servers.base import Server
from goticket_local.stack.accounts import ADMIN, PASSWORD, ensure_accounts
from goticket_local.stack.ports import Ports, variable
from goticket_local.stack.secrets import ROLES, Secrets
from goticket_local.stack.services import StackConfig
from goticket_local.stack.stack import Stack, at_once
from goticket_local.supervisor import supervisor

DATABASE = "goticket"
# What a service's process may be told besides: BOOKING_LOG_LEVEL=DEBUG make up
PREFIXES = ("GATEWAY_", "IDENTITY_", "CATALOG_", "BOOKING_", "NOTIFICATION_")

Say = Callable[[str], None]


class PortsBusy(Exception):
    """Somebody else listens where GoTicket would."""


class LocalSystem:
    """GoTicket without containers: `up`, `down`, `reset` and what they are made of."""

    def __init__(self, checkout: Path, say: Say) -> None:
        self.checkout = checkout
        self.folder = checkout / ".local"
        self.run_dir = self.folder / "run"
        self.log_dir = self.folder / "logs"
        self.say = say

    @cached_property
    def ports(self) -> Ports:
        """Those it runs on, or those it would be started on."""
        runs = any(process.alive for process in self.processes())
        return (Ports.load(self.folder / "ports.json") if runs else None) or Ports.chosen()

    @cached_property
    def secrets(self) -> Secrets:
        """This checkout's own."""
        return Secrets.kept_in(self.folder / "secrets.json")

    @cached_property
    def postgres(self) -> PostgresServer:
        """The database server; durable: what was booked survives a power cut."""
        return PostgresServer(
            self.folder / "postgres",
            self.ports.postgres,
            password=self.secrets.postgres,
            run_dir=self.run_dir,
            log_dir=self.log_dir,
        )

    @cached_property
    def redis(self) -> RedisServer:
        """The cache."""
        return RedisServer(
            self.folder / "redis",
            self.ports.redis,
            password=self.secrets.redis,
            run_dir=self.run_dir,
            log_dir=self.log_dir,
        )

    @cached_property
    def rabbitmq(self) -> RabbitServer:
        """The message broker."""
        ports = RabbitPorts(
            amqp=self.ports.rabbitmq,
            management=self.ports.rabbitmq_management,
            distribution=self.ports.rabbitmq_distribution,
            port_mapper=self.ports.rabbitmq_port_mapper,
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
        """The servers."""
        return [self.postgres, self.redis, self.rabbitmq]

    @cached_property
    def stack(self) -> Stack:
        """GoTicket's own processes."""
        config = StackConfig(
            ports=self.ports,
            database_urls={
                role: self.postgres.dsn(role, self.secrets.roles[role], DATABASE) for role in ROLES
            },
            redis_url=self.redis.url(),
            amqp_url=self.rabbitmq.amqp_url(),
            signing_key=self.secrets.signing_key,
            ticket_key=self.secrets.ticket_key,
            admin_email=ADMIN,
            admin_password=PASSWORD,
        )
        environment = {k: v for k, v in os.environ.items() if k.startswith(PREFIXES)}
        return Stack(config, run_dir=self.run_dir, log_dir=self.log_dir, environment=environment)

    def processes(self) -> list[Process]:
        """Everything that has a pid file, running or not."""
        return [Process.at(file) for file in sorted(self.run_dir.glob("*.pid"))]

    @property
    def supervisor(self) -> Process:
        """The process that starts again what crashed."""
        return supervisor(self.checkout, self.run_dir, self.log_dir)

    def up(self) -> None:
        """Start what does not run. Raises `PortsBusy`, `CannotInstall` or `StartFailed`."""
        began = time.monotonic()
        self._make_folders()
        self.check_ports()
        self.ports.save(self.folder / "ports.json")
        system.ensure_packages()
        self.say("Starting PostgreSQL, Redis and RabbitMQ ...")
        at_once(self._start_database, self.redis.start, self.rabbitmq.start)
        self.say("Starting GoTicket ...")
        self.stack.start()
        ensure_accounts(self.stack.base_url)
        self.supervisor.start()
        self.say(f"Ready after {time.monotonic() - began:.0f} s.")

    def down(self) -> None:
        """Stop what was started from here, in order, and nothing else."""
        if not any(process.alive for process in self.processes()):
            self.say("Nothing runs.")
        else:
            self.say("Stopping ...")
            self.supervisor.stop()
            for name in self.stack.stop_all():
                self.say(f"{name} had to be killed.")
            at_once(*(server.stop for server in self.servers))
            self.say("Stopped.")
        (self.folder / "ports.json").unlink(missing_ok=True)

    def reset(self) -> None:
        """Stop, and forget all data."""
        self.down()
        if self.folder.exists():
            for server in self.servers:
                server.remove()
            shutil.rmtree(self.folder)
        self.say("All local data is gone.")

    def check_ports(self) -> None:
        """Raise `PortsBusy` naming each port that another program holds."""
        ours = {process.pid for process in self.processes()} - {None}
        complaints = []
        for name, port in self.ports.named().items():
            if not is_busy(port):
                continue
            by = listener(port)
            if ours and (by is None or _belongs(by, ours)):
                continue
            complaints.append(_complaint(name, port, described(by) if by else ""))
        if complaints:
            raise PortsBusy("\n".join(complaints))

    def _make_folders(self) -> None:
        # Only we may look around in it; PostgreSQL's account, where it differs, may pass.
        self.folder.mkdir(mode=0o711, exist_ok=True)
        for folder in (self.run_dir, self.log_dir):
            folder.mkdir(mode=0o700, exist_ok=True)

    def _start_database(self) -> None:
        self.postgres.start()
        self.postgres.create_database(DATABASE)
        bootstrap = (self.checkout / "deploy" / "postgres" / "bootstrap.sql").read_text()
        passwords = {f"{role}_password": self.secrets.roles[role] for role in ROLES}
        self.postgres.run_sql(DATABASE, bootstrap, passwords)
        self.stack.migrate()


def _belongs(process: psutil.Process, ours: Collection[int | None]) -> bool:
    """Whether a process is one of ours or was started by one of ours."""
    try:
        return process.pid in ours or any(each.pid in ours for each in process.parents())
    except psutil.NoSuchProcess:
        return True  # it has just ended: not in the way any more


def _complaint(name: str, port: int, by: str) -> str:
    return (
        f"Port {port} ({name.replace('_', ' ')}) is busy{f': {by}' if by else ''}. "
        f"Stop that program, or choose another port: {variable(name)}=<port> make up"
    )
