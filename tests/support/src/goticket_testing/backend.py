"""The source of a test session's real servers: this machine, or containers."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar

from goticket_local import programs
from redis import Redis

CHOICE = "GOTICKET_TEST_SERVERS"
IMAGES = {
    "postgres": "postgres:16",
    "redis": "redis:7",
    "rabbitmq": "rabbitmq:3.13-management",
}
# An engine that does not respond must not delay the tests.
ENGINE_SECONDS = 5.0
PULL_SECONDS = 600.0
# If the programs are installed, the tests do not wait for a slow download.
PULL_SECONDS_WITH_ALTERNATIVE = 45.0


class Server(Protocol):
    """A server that tests may stop, kill and start again on the same data and port."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        ...

    def start(self) -> None:
        """Start it unless it runs, and wait until it is ready."""
        ...

    def stop(self) -> None:
        """Stop with the stop signal."""
        ...

    def kill(self) -> None:
        """Kill with SIGKILL."""
        ...

    def restart(self) -> None:
        """Stop and start."""
        ...

    def discard(self) -> None:
        """Kill it and delete its data."""
        ...


AnyServer = TypeVar("AnyServer", bound=Server)


class PostgresBackend(Server, Protocol):
    """A PostgreSQL cluster with superuser access."""

    def dsn(self, role: str, password: str, database: str) -> str:
        """A connection URL."""
        ...

    def superuser_dsn(self, database: str = "postgres") -> str:
        """A connection URL of the superuser."""
        ...

    def run_sql(self, database: str, sql: str, variables: Mapping[str, str] | None = None) -> str:
        """Run a psql script as superuser; return its output."""
        ...

    def create_database(self, name: str) -> None:
        """Create a database unless it exists."""
        ...


class RedisBackend(Server, Protocol):
    """A Redis with 16 databases."""

    def url(self, database: int = 0) -> str:
        """The URL of a database."""
        ...


class RabbitBackend(Server, Protocol):
    """A RabbitMQ node with its management API."""

    def amqp_url(self, vhost: str = "/", user: tuple[str, str] | None = None) -> str:
        """The URL for a user (name and password); None for the administrator."""
        ...

    def add_vhost(self, name: str) -> None:
        """Create a virtual host."""
        ...

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with its queues."""
        ...

    def api(self, method: str, path: str, body: object = None) -> bytes:
        """Call the management API."""
        ...


class ServerSource(Protocol):
    """Creates servers, which are not started yet."""

    def postgres(self) -> PostgresBackend:
        """A PostgreSQL."""
        ...

    def redis(self) -> RedisBackend:
        """A Redis."""
        ...

    def rabbitmq(self) -> RabbitBackend:
        """A RabbitMQ."""
        ...


@contextlib.contextmanager
def running(server: AnyServer) -> Iterator[AnyServer]:
    """Run a server within the block; delete it with its data afterwards."""
    try:
        server.start()
        yield server
    finally:
        server.discard()


def choose() -> str:
    """Return "containers" or "native", as set by GOTICKET_TEST_SERVERS or as available."""
    choice = os.environ.get(CHOICE, "auto")
    if choice in {"containers", "native"}:
        return choice
    if choice != "auto":
        raise ValueError(f"{CHOICE} is {choice!r}; use auto, native or containers")
    return "containers" if _engine_responds() and _images_available() else "native"


def versions(choice: str) -> str:
    """One line that names the servers of a choice. Starts none."""
    if choice == "containers":
        return "containers: " + ", ".join(IMAGES.values())
    missing = programs.missing_packages()
    if missing:
        return f"native servers; to be installed: {' '.join(missing)}"
    return "native servers: " + ", ".join(programs.versions())


def _engine_responds() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    return _succeeds([docker, "info"], ENGINE_SECONDS)


def _images_available() -> bool:
    from testcontainers.core.config import (
        testcontainers_config,  # imported only if an engine responds
    )

    needed = [*IMAGES.values()]
    if not testcontainers_config.ryuk_disabled:
        needed.append(testcontainers_config.ryuk_image)  # removes leftover containers
    missing = [image for image in needed if not _present(image)]
    timeout = PULL_SECONDS if programs.missing_packages() else PULL_SECONDS_WITH_ALTERNATIVE
    return all(_succeeds(["docker", "pull", "--quiet", image], timeout) for image in missing)


def _present(image: str) -> bool:
    return _succeeds(["docker", "image", "inspect", image], ENGINE_SECONDS)


def _succeeds(argv: list[str], seconds: float) -> bool:
    try:
        done = subprocess.run(argv, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def postgres_version(server: PostgresBackend) -> str:
    """The version a server reports."""
    return server.run_sql("postgres", "SHOW server_version").split()[0]


def redis_version(server: RedisBackend) -> str:
    """The version a server reports."""
    with Redis.from_url(server.url()) as client:
        return str(client.info("server")["redis_version"])


def rabbitmq_version(server: RabbitBackend) -> str:
    """The version a node reports."""
    overview: dict[str, str] = json.loads(server.api("GET", "/api/overview"))
    return overview["rabbitmq_version"]
