"""Native servers of a test session."""

import secrets
from pathlib import Path

from goticket_local.ports import free_port, free_ports
from goticket_local.servers import PostgresServer, RabbitPorts, RabbitServer, RedisServer


class NativeSource:
    """Servers with their data in a folder. The reaper of the folder kills them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def postgres(self) -> PostgresServer:
        """A cluster that survives kill -9 of the server, but no power cut."""
        return PostgresServer(
            self.folder / "postgres", free_port(), password=secrets.token_hex(16), durable=False
        )

    def redis(self) -> RedisServer:
        """A Redis."""
        return RedisServer(self.folder / "redis", free_port(), password=secrets.token_hex(16))

    def rabbitmq(self) -> RabbitServer:
        """A RabbitMQ node."""
        ports = RabbitPorts(*free_ports(4))
        folder = self.folder / f"rabbitmq-{ports.amqp}"
        return RabbitServer(folder, ports, password=secrets.token_hex(16))
