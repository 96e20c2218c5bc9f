"""Which port is for what."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from goticket_local.ports import free_ports


@dataclass(frozen=True)
class Ports:
    """Every port the system listens on, all on 127.0.0.1. The defaults are `make up`'s."""

    # What people use:
    gateway: int = 8080
    smtp: int = 1025
    inbox: int = 8025
    # Servers:
    postgres: int = 15432
    redis: int = 16379
    rabbitmq: int = 15673
    rabbitmq_management: int = 15674
    rabbitmq_distribution: int = 15675
    rabbitmq_port_mapper: int = 15676
    # gRPC:
    identity: int = 15051
    catalog: int = 15052
    booking: int = 15053
    # /metrics, /livez and /readyz:
    gateway_ops: int = 19060
    identity_ops: int = 19061
    identity_relay_ops: int = 19062
    catalog_ops: int = 19063
    catalog_relay_ops: int = 19064
    booking_ops: int = 19065
    booking_relay_ops: int = 19066
    booking_worker_ops: int = 19067
    booking_sweeper_ops: int = 19068
    notification_worker_ops: int = 19069

    @classmethod
    def free(cls) -> "Ports":
        """Ports that nobody uses right now."""
        return cls(*free_ports(len(fields(cls))))

    @classmethod
    def chosen(cls, environment: Mapping[str, str] = os.environ) -> "Ports":
        """The defaults, each replaced by its GOTICKET_<NAME>_PORT where that is set."""
        chosen = {each.name: environment.get(variable(each.name)) for each in fields(cls)}
        return cls(**{name: int(port) for name, port in chosen.items() if port})

    @classmethod
    def load(cls, file: Path) -> "Ports | None":
        """What `save` wrote."""
        try:
            return cls(**json.loads(file.read_text()))
        except FileNotFoundError:
            return None

    def save(self, file: Path) -> None:
        """Remember them for the commands that follow."""
        file.write_text(json.dumps(asdict(self), indent=1))

    def named(self) -> dict[str, int]:
        """Each port by its name."""
        return asdict(self)


def variable(name: str) -> str:
    """The environment variable that replaces a port."""
    return f"GOTICKET_{name.upper()}_PORT"
