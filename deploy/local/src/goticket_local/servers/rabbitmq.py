"""A private RabbitMQ node with an Erlang port mapper of its own."""

import base64
import contextlib
import http.client
import json
import socket
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from goticket_local import programs
from goticket_local.process import Process
from goticket_local.servers.base import Server, minimal_environment

HOST = "127.0.0.1"
USER = "goticket"


@dataclass(frozen=True)
class RabbitPorts:
    """The ports a node listens on."""

    amqp: int
    management: int
    distribution: int
    port_mapper: int


class RabbitServer(Server):
    """RabbitMQ with the management API and an administrator, `goticket`.

    The administrator replaces the default user `guest`, whose password is known.
    """

    name = "rabbitmq"
    start_seconds = 90.0

    def __init__(
        self,
        home: Path,
        ports: RabbitPorts,
        *,
        password: str,
        run_dir: Path | None = None,
        log_dir: Path | None = None,
    ) -> None:
        super().__init__(home, run_dir, log_dir)
        self.ports = ports
        self.password = password

    def amqp_url(self, vhost: str = "/", user: tuple[str, str] | None = None) -> str:
        """The URL for a user (name and password); None for the administrator."""
        name, password = user or (USER, self.password)
        return f"amqp://{name}:{password}@{HOST}:{self.ports.amqp}/{quote(vhost, safe='')}"

    @property
    def management_url(self) -> str:
        """The URL of the management page and API."""
        return f"http://{HOST}:{self.ports.management}"

    @cached_property
    def process(self) -> Process:
        """The Erlang node."""
        return Process(
            self.name,
            [str(programs.find("rabbitmq-server"))],
            env=self._environment(),
            run_dir=self.run_dir,
            log=self.log,
        )

    @cached_property
    def port_mapper(self) -> Process:
        """The node's own epmd. One that RabbitMQ started would outlive the node."""
        return Process(
            "epmd",
            [
                str(programs.find("epmd")),
                *("-address", HOST, "-port", str(self.ports.port_mapper)),
            ],
            env=minimal_environment(),
            run_dir=self.run_dir,
            log=self.log.with_name("epmd.log"),
        )

    def prepare(self) -> None:
        """Write cookie, configuration and the list of plugins; start the port mapper."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        cookie = self.home / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(self.password.replace("-", "").replace("_", ""))
            cookie.chmod(0o400)
        conf = self.home / "rabbitmq.conf"
        conf.touch(mode=0o600)
        conf.write_text(
            f"listeners.tcp.1 = {HOST}:{self.ports.amqp}\n"
            f"management.tcp.ip = {HOST}\nmanagement.tcp.port = {self.ports.management}\n"
            f"default_user = {USER}\ndefault_pass = {self.password}\n"
            "default_user_tags.administrator = true\n"
        )
        (self.home / "enabled_plugins").write_text("[rabbitmq_management].\n")
        self.port_mapper.start()

    def is_ready(self) -> bool:
        """Whether it serves clients and the management API."""
        try:
            with socket.create_connection((HOST, self.ports.amqp), timeout=2) as connection:
                connection.settimeout(2)
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                if connection.recv(1) != b"\x01":
                    return False
            self.api("GET", "/api/vhosts")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def stop(self, grace_seconds: float = 25.0) -> None:
        """Stop the node, then its port mapper."""
        super().stop(grace_seconds)
        self.port_mapper.stop()

    def remove(self) -> None:
        """Delete its folder and kill its port mapper. The node must not run."""
        self.port_mapper.kill()
        super().remove()

    def add_vhost(self, name: str) -> None:
        """Create a virtual host for the administrator, unless it exists."""
        vhost = quote(name, safe="")
        self.api("PUT", f"/api/vhosts/{vhost}")
        permissions = {"configure": ".*", "write": ".*", "read": ".*"}
        self.api("PUT", f"/api/permissions/{vhost}/{USER}", permissions)

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with all its queues."""
        self.api("DELETE", f"/api/vhosts/{quote(name, safe='')}")

    def api(self, method: str, path: str, body: object = None) -> bytes:
        """Call the management API. Raises `OSError` for status 400 or above."""
        return call_api(HOST, self.ports.management, (USER, self.password), method, path, body)

    def _environment(self) -> dict[str, str]:
        return minimal_environment() | {
            "HOME": str(self.home),  # where Erlang looks for the cookie
            "ERL_EPMD_PORT": str(self.ports.port_mapper),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": f"goticket_{self.ports.amqp}@localhost",
            "RABBITMQ_DIST_PORT": str(self.ports.distribution),
            "RABBITMQ_MNESIA_BASE": str(self.home / "data"),
            "RABBITMQ_LOG_BASE": str(self.home),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2"
            ),
            # Makes the start script exec Erlang: the pid we hold is the node's own.
            "detached": "true",
        }


def call_api(
    host: str, port: int, user: tuple[str, str], method: str, path: str, body: object = None
) -> bytes:
    """Call a management API. Raises `OSError` for status 400 or above."""
    credentials = base64.b64encode(":".join(user).encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
    payload = None if body is None else json.dumps(body)
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=15)) as connection:
        connection.request(method, path, payload, headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise OSError(f"{method} {path}: {response.status} {answer.decode(errors='replace')}")
        return answer
