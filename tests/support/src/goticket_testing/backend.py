"""Where the real servers of a test session come from: this machine, or containers."""

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
# An engine that does not answer must not hold up the tests.
ENGINE_SECONDS = 5.0
PULL_SECONDS = 600.0
# With the programs installed there is no need to wait for a slow download.
PULL_SECONDS_WITH_ALTERNATIVE = 45.0


class Server(Protocol):
    """A server that tests may stop, kill and start again on the same data and port."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        ...

    def start(self) -> None:
        """Start and wait until it answers; harmless when it runs."""
        ...

    def stop(self) -> None:
        """Stop in order."""
        ...

    def kill(self) -> None:
        """End at once, as kill -9 does."""
        ...

    def restart(self) -> None:
        """Stop and start."""
        ...

    def discard(self) -> None:
        """End it for good; its data is not wanted any more."""
        ...


AnyServer = TypeVar("AnyServer", bound=Server)


class PostgresBackend(Server, Protocol):
    """A PostgreSQL cluster we are superuser of."""

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
        """Where a database is."""
        ...


class RabbitBackend(Server, Protocol):
    """A RabbitMQ node with its management API."""

    def amqp_url(self, vhost: str = "/") -> str:
        """Where clients connect."""
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
    """Makes servers, not yet started, with whatever they need."""

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
    """A server that runs inside the block and is gone, data and all, after it."""
    try:
        server.start()
        yield server
    finally:
        server.discard()


def choose() -> str:
    """Return "containers" or "native", as set by GOTICKET_TEST_SERVERS or as available."""
    wanted = os.environ.get(CHOICE, "auto")
    if wanted in {"containers", "native"}:
        return wanted
    if wanted != "auto":
        raise ValueError(f"{CHOICE} is {wanted!r}; use auto, native or containers")
    return "containers" if _engine_answers() and _images_available() else "native"


def versions(choice: str) -> str:
    """One line on what a choice runs, without starting anything."""
    if choice == "containers":
        return "containers: " + ", ".join(IMAGES.values())
    missing = programs.missing_packages()
    if missing:
        return f"native servers; to be installed: {' '.join(missing)}"
    return "native servers: " + ", ".join(programs.versions())


def _engine_answers() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    return _quietly([docker, "info"], ENGINE_SECONDS)


def _images_available() -> bool:
    from testcontainers.core.config import testcontainers_config  # only where an engine answers

    needed = [*IMAGES.values()]
    if not testcontainers_config.ryuk_disabled:
        needed.append(testcontainers_config.ryuk_image)  # removes what a killed session leaves
    missing = [image for image in needed if not _present(image)]
    patience = PULL_SECONDS if programs.missing_packages() else PULL_SECONDS_WITH_ALTERNATIVE
    return all(_quietly(["docker", "pull", "--quiet", image], patience) for image in missing)


def _present(image: str) -> bool:
    return _quietly(["docker", "image", "inspect", image], ENGINE_SECONDS)


def _quietly(argv: list[str], seconds: float) -> bool:
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
