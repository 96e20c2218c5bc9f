"""Containers of a test session, with the same methods as the native servers."""

import secrets
import socket
from collections.abc import Mapping
from urllib.parse import quote

from goticket_local.ports import free_port
from goticket_local.process import StartFailed, wait_until
from goticket_local.servers.postgres import CREATE_DATABASE, psql_script
from goticket_local.servers.rabbitmq import call_api
from testcontainers.core.container import DockerContainer, ExecConfig

from goticket_testing.backend import IMAGES

START_SECONDS = 90.0


class ContainerServer:
    """A container on ports of the host that stay the same when it is stopped and started."""

    def __init__(self, image: str, ports: list[int], env: Mapping[str, str]) -> None:
        self.container = DockerContainer(image).with_envs(**env)
        self.ports = {port: free_port() for port in ports}
        for inside, outside in self.ports.items():
            self.container.with_bind_ports(inside, outside)
        self._created = False

    @property
    def host(self) -> str:
        """The host of the published ports."""
        return self.container.get_container_host_ip()

    @property
    def alive(self) -> bool:
        """Whether the container runs."""
        if not self._created:
            return False
        self.container.reload()
        return self.container.status == "running"

    def is_ready(self) -> bool:
        """Whether it serves clients now."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it is ready. Raises `StartFailed`."""
        if not self._created:
            self.container.start()
            self._created = True
        elif not self.alive:
            self.container.get_wrapped_container().start()
        if not wait_until(self.is_ready, START_SECONDS):
            raise StartFailed(f"{self.container.image} is not ready after {START_SECONDS:.0f} s")

    def stop(self) -> None:
        """Stop it with SIGTERM. Its data is kept."""
        self.container.get_wrapped_container().stop(timeout=25)

    def kill(self) -> None:
        """Kill it. Its data is kept."""
        if self.alive:
            self.container.get_wrapped_container().kill()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def discard(self) -> None:
        """Remove container and data."""
        self.container.stop()


class PostgresContainer(ContainerServer):
    """PostgreSQL in a container."""

    def __init__(self) -> None:
        self.password = secrets.token_hex(16)
        super().__init__(IMAGES["postgres"], [5432], {"POSTGRES_PASSWORD": self.password})
        self.container.with_command("postgres -c max_connections=300 -c fsync=off")

    def dsn(self, role: str, password: str, database: str) -> str:
        """A connection URL."""
        address = f"{self.host}:{self.ports[5432]}"
        return f"postgresql://{role}:{quote(password, safe='')}@{address}/{database}"

    def superuser_dsn(self, database: str = "postgres") -> str:
        """A connection URL of the superuser."""
        return self.dsn("postgres", self.password, database)

    def run_sql(self, database: str, sql: str, variables: Mapping[str, str] | None = None) -> str:
        """Run a psql script as superuser. Raises `RuntimeError` with psql's messages."""
        # Over TCP: the socket accepts connections before the image's first-start script ends.
        psql = "psql -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -U postgres"
        done = self.container.exec(
            ExecConfig(
                ["sh", "-c", f'printf %s "$SCRIPT" | {psql} -d "$DATABASE"'],
                environment={
                    "SCRIPT": psql_script(sql, variables),
                    "DATABASE": database,
                    "PGPASSWORD": self.password,
                },
            )
        )
        output = done.output.decode().strip()
        if done.exit_code != 0:
            raise RuntimeError(output)
        return output

    def create_database(self, name: str) -> None:
        """Create a database unless it exists."""
        self.run_sql("postgres", CREATE_DATABASE, {"name": name})

    def is_ready(self) -> bool:
        """Whether it accepts connections."""
        try:
            return self.run_sql("postgres", "SELECT 1") == "1"
        except RuntimeError:
            return False


class RedisContainer(ContainerServer):
    """Redis in a container."""

    def __init__(self) -> None:
        self.password = secrets.token_hex(16)
        super().__init__(IMAGES["redis"], [6379], {})
        self.container.with_command(f"redis-server --save '' --requirepass {self.password}")

    def url(self, database: int = 0) -> str:
        """The URL of a database."""
        return f"redis://:{self.password}@{self.host}:{self.ports[6379]}/{database}"

    def is_ready(self) -> bool:
        """Whether it executes commands."""
        try:
            with socket.create_connection((self.host, self.ports[6379]), timeout=2) as connection:
                connection.sendall(f"AUTH {self.password}\r\n".encode())
                return connection.recv(3) == b"+OK"
        except OSError:
            return False


class RabbitContainer(ContainerServer):
    """RabbitMQ in a container."""

    def __init__(self) -> None:
        self.user = ("goticket", secrets.token_hex(16))
        env = {"RABBITMQ_DEFAULT_USER": self.user[0], "RABBITMQ_DEFAULT_PASS": self.user[1]}
        super().__init__(IMAGES["rabbitmq"], [5672, 15672], env)
        # The node's name contains the host name. A random one would lose the data.
        self.container.with_kwargs(hostname="goticket")

    def amqp_url(self, vhost: str = "/", user: tuple[str, str] | None = None) -> str:
        """The URL for a user (name and password); None for the administrator."""
        name, password = user or self.user
        address = f"{self.host}:{self.ports[5672]}"
        return f"amqp://{name}:{password}@{address}/{quote(vhost, safe='')}"

    def add_vhost(self, name: str) -> None:
        """Create a virtual host that the user may use."""
        vhost = quote(name, safe="")
        self.api("PUT", f"/api/vhosts/{vhost}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.api("PUT", f"/api/permissions/{vhost}/{self.user[0]}", everything)

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with its queues."""
        self.api("DELETE", f"/api/vhosts/{quote(name, safe='')}")

    def api(self, method: str, path: str, body: object = None) -> bytes:
        """Call the management API. Raises `OSError` when it refuses."""
        return call_api(self.host, self.ports[15672], self.user, method, path, body)

    def is_ready(self) -> bool:
        """Whether clients and the management API are served."""
        try:
            self.api("GET", "/api/vhosts")
            with socket.create_connection((self.host, self.ports[5672]), timeout=2) as connection:
                connection.settimeout(2)
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False


class ContainerSource:
    """Servers in containers."""

    def postgres(self) -> PostgresContainer:
        """A PostgreSQL."""
        return PostgresContainer()

    def redis(self) -> RedisContainer:
        """A Redis."""
        return RedisContainer()

    def rabbitmq(self) -> RabbitContainer:
        """A RabbitMQ."""
        return RabbitContainer()
