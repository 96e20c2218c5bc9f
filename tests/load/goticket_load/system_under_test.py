"""The measured system: durable servers and every process of GoTicket on free ports."""

import contextlib
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
from gateway.config import LIMITS
from goticket_local import reaper, system
from goticket_local.local import given_settings
from goticket_local.ports import free_port, free_ports
from goticket_local.servers import PostgresServer, RabbitPorts, RabbitServer, RedisServer
from goticket_local.servers.base import minimal_environment
from goticket_local.servers.postgres import ACCOUNT, can_access
from goticket_local.stack.broker import bootstrap_broker, service_urls
from goticket_local.stack.config import HOST, StackConfig
from goticket_local.stack.ports import Ports
from goticket_local.stack.secrets import Secrets
from goticket_local.stack.stack import Stack
from goticket_testing.clients import ApiUserFactory
from goticket_testing.databases import ROLES, SERVICES, Postgres

Settings = Mapping[str, str]
NO_SETTINGS: Settings = MappingProxyType({})
DATABASE = "goticket"
VHOST = "goticket"
UNREACHED_LIMITS = {
    f"GATEWAY_{name.upper()}": "1000000/60"
    for name in LIMITS
    if name != "limit_unknown_routes_per_address"
}
"""Rate limits are checked as usual, but no client reaches them: one buyer stands for many."""
ASYNC_PROCESSES = ("booking relay", "notification worker")
"""Processes that run after a booking. They would share the cores with what is measured, so
they are started only by the scenarios that measure them."""


class SystemUnderTest(Stack):
    """GoTicket's processes on durable servers, with the operations that scenarios need."""

    def __init__(
        self, folder: Path, postgres: PostgresServer, redis: RedisServer, rabbitmq: RabbitServer
    ) -> None:
        self.server = postgres
        self.rabbitmq = rabbitmq
        self.redis = redis
        self._folder = folder
        self.databases = [DATABASE]
        """Databases with bookings."""
        self._roles = Postgres(postgres)
        secret_values = Secrets.generate()
        self._broker_passwords = secret_values.broker_users
        config = StackConfig(
            ports=Ports.free(),
            database_urls={role: self._roles.dsn(role, DATABASE) for role in ROLES},
            redis_url=redis.url(),
            amqp_urls=service_urls(rabbitmq, VHOST, SERVICES, secret_values.broker_users),
            secrets=secret_values.services,
        )
        # GATEWAY_WORKERS=2 make bench passes a setting to the gateway.
        super().__init__(
            config,
            run_dir=folder / "run",
            log_dir=folder / "logs",
            environment={**UNREACHED_LIMITS, **given_settings()},
        )
        settings = self.process_configs["identity serve"].environment
        self.users = ApiUserFactory(
            settings["IDENTITY_SIGNING_KEY"],
            settings["IDENTITY_ISSUER"],
            settings["IDENTITY_AUDIENCE"],
        )

    def set_up(self) -> None:
        """Create the databases, migrate, and start everything except `ASYNC_PROCESSES`."""
        self._roles.create_database(DATABASE)
        bootstrap_broker(self.rabbitmq, VHOST, SERVICES, self._broker_passwords)
        self.migrate()
        self.start(*(name for name in self.process_configs if name not in ASYNC_PROCESSES))

    def restart(self, name: str, settings: Mapping[str, str]) -> None:
        """Restart a process with more settings; return when it is ready."""
        self.stop(name)
        process = self.process(name)
        process.env = {**process.env, **settings}
        self.start(name)

    def restart_without(self, name: str, *settings: str) -> None:
        """Restart a process with the defaults of some settings."""
        self.stop(name)
        process = self.process(name)
        process.env = {n: v for n, v in process.env.items() if n not in settings}
        self.start(name)

    def add_replica(
        self, *, booking_settings: Settings = NO_SETTINGS, gateway_settings: Settings = NO_SETTINGS
    ) -> str:
        """Start another booking server and a gateway that calls it; return the gateway's URL.

        Settings are named without their prefix. Others are those of the first processes.
        """
        grpc, http, *ops = free_ports(4)
        booking = self.process_configs["booking serve"]
        gateway = self.process_configs["gateway serve"]
        added = {
            "booking serve 2": replace(
                booking,
                ops_port=ops[0],
                settings={
                    **booking.settings,
                    "GRPC_LISTEN": f"{HOST}:{grpc}",
                    **booking_settings,
                },
            ),
            "gateway serve 2": replace(
                gateway,
                ops_port=ops[1],
                settings={
                    **gateway.settings,
                    "LISTEN": f"{HOST}:{http}",
                    "BOOKING_TARGET": f"{HOST}:{grpc}",
                    **gateway_settings,
                },
            ),
        }
        for name, service in added.items():
            process = self._process(service, self._folder / "run2", self._folder / "logs2")
            self.process_configs[name] = service
            self._processes[name] = process
        self.start(*added)
        return f"http://{HOST}:{http}"

    def drop_replica(self) -> None:
        """Stop the processes that `add_replica` started."""
        for name in ("gateway serve 2", "booking serve 2"):
            self.stop(name)
            del self.process_configs[name], self._processes[name]

    def add_booking_database(self, name: str) -> str:
        """Create and migrate another, empty database of booking; returns its URL."""
        self._roles.create_database(name)
        url = self._roles.dsn("booking", name)
        subprocess.run(
            [str(Path(sys.executable).with_name("booking")), "migrate", "up"],
            env=minimal_environment() | {"BOOKING_DATABASE_URL": url},
            check=True,
            capture_output=True,
        )
        self.databases.append(name)
        return url

    def sql(self, script: str, database: str = DATABASE) -> str:
        """Run SQL as superuser; returns the output of psql."""
        return self.server.run_sql(database, script)

    @contextlib.contextmanager
    def slow_transactions(self, seconds: float) -> Iterator[None]:
        """Lengthen every transaction that writes to booking's outbox by `seconds`.

        It waits while it holds its locks, as it would for a slow disk.
        """
        self.sql(
            "CREATE FUNCTION booking.delay_commit() RETURNS trigger LANGUAGE plpgsql AS "
            f"'BEGIN PERFORM pg_sleep({seconds:f}); RETURN NULL; END';"
            "CREATE TRIGGER delay_commit AFTER INSERT ON booking.outbox "
            "FOR EACH STATEMENT EXECUTE FUNCTION booking.delay_commit();"
        )
        try:
            yield
        finally:
            self.sql("DROP FUNCTION booking.delay_commit CASCADE")

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU time of each process and server with its children."""
        pids = {name: self.process(name).pid for name in self.process_configs}
        pids |= {s.name: s.pid for s in (self.server, self.redis, self.rabbitmq)}
        return {name: _cpu_seconds(pid) for name, pid in pids.items() if pid}


def _cpu_seconds(pid: int) -> float:
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])  # its own and that of its exited children
    return total


@contextlib.contextmanager
def running_system() -> Iterator[SystemUnderTest]:
    """Start everything; stop and remove it after the block, even if this process is killed."""
    system.ensure_packages()
    folder = _folder()
    with reaper.attach(folder):
        postgres = PostgresServer(
            folder / "postgres", free_port(), password=secrets.token_hex(16), durable=True
        )
        redis = RedisServer(folder / "redis", free_port(), password=secrets.token_hex(16))
        ports = RabbitPorts(*free_ports(4))
        rabbitmq = RabbitServer(folder / "rabbitmq", ports, password=secrets.token_hex(16))
        servers = (postgres, redis, rabbitmq)
        running: SystemUnderTest | None = None
        try:
            for server in servers:
                server.start()
            running = SystemUnderTest(folder, postgres, redis, rabbitmq)
            running.set_up()
            yield running
        finally:
            if running is not None:
                running.stop_all()
            for server in servers:
                server.discard()


def _folder() -> Path:
    for parent in (tempfile.gettempdir(), "/var/tmp"):  # noqa: S108 - mkdtemp makes it private
        folder = Path(tempfile.mkdtemp(prefix="goticket-bench-", dir=parent))
        folder.chmod(0o711)  # PostgreSQL may run as another account
        if can_access(ACCOUNT, folder):
            break
        folder.rmdir()
    return folder
