"""The ports of the local stack, each with its purpose."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from goticket_local.manifest import Service, load_services
from goticket_local.ports import free_ports

SERVERS = {
    "smtp": 1025,
    "mailbox": 8025,
    "postgres": 15432,
    "redis": 16379,
    "rabbitmq": 15673,
    "rabbitmq_management": 15674,
    "rabbitmq_distribution": 15675,
    "rabbitmq_port_mapper": 15676,
}
"""Ports of what is not a service; those of the services are in their service.toml."""


@dataclass(frozen=True)
class Ports:
    """Every port that the system listens on, by name. All are on 127.0.0.1."""

    numbers: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        return self.numbers[name]

    @classmethod
    def default(cls, services: tuple[Service, ...] | None = None) -> "Ports":
        """The ports of `make up`."""
        services = load_services() if services is None else services
        of_services = {
            process.port_name(purpose): port
            for service in services
            for process in service.processes.values()
            for purpose, port in process.ports.items()
        }
        return cls({**SERVERS, **of_services})

    @classmethod
    def free(cls) -> "Ports":
        """Ports that no process listens on now."""
        names = cls.default().numbers
        return cls(dict(zip(names, free_ports(len(names)), strict=True)))

    @classmethod
    def chosen(cls, environment: Mapping[str, str] = os.environ) -> "Ports":
        """The default ports, each replaced by its GOTICKET_<NAME>_PORT where that is set."""
        return cls(
            {
                name: int(environment.get(variable(name)) or port)
                for name, port in cls.default().numbers.items()
            }
        )

    @classmethod
    def load(cls, file: Path) -> "Ports | None":
        """The ports that `save` wrote; None without the file.

        A service that was added since then gets its default ports.
        """
        try:
            return cls({**cls.chosen().numbers, **json.loads(file.read_text())})
        except FileNotFoundError:
            return None

    def save(self, file: Path) -> None:
        """Write them for the commands that follow."""
        file.write_text(json.dumps(dict(self.numbers), indent=1))


def variable(name: str) -> str:
    """The environment variable that replaces a port."""
    return f"GOTICKET_{name.upper()}_PORT"
