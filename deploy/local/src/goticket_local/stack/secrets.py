"""Passwords and keys of one installation: generated once, stored in a file of mode 0600."""

import base64
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from goticket_local.manifest import Service, broker_users, databases, load_services


def _password() -> str:
    return secrets.token_hex(16)


def _ed25519_seed() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


GENERATORS: Mapping[str, Callable[[], str]] = {
    "ed25519_seed": _ed25519_seed,
    "token": lambda: secrets.token_hex(32),
}
"""The generator of each kind of secret."""


@dataclass(frozen=True)
class Secrets:
    """Random secrets of the servers, the database roles and the services."""

    postgres: str = field(repr=False)
    redis: str = field(repr=False)
    rabbitmq: str = field(repr=False)
    roles: Mapping[str, str] = field(repr=False)
    """The password of each service's database role, by the service's name."""
    broker_users: Mapping[str, str] = field(repr=False)
    """The password of each service's RabbitMQ user, by the service's name."""
    services: Mapping[str, str] = field(repr=False)
    """The secrets that services declare, named `<service>.secrets.<name>`."""

    @classmethod
    def generate(cls, services: tuple[Service, ...] | None = None) -> "Secrets":
        """New secrets for the services; by default for those of this checkout."""
        return cls.completed({}, load_services() if services is None else services)

    @classmethod
    def completed(cls, stored: Mapping[str, Any], services: tuple[Service, ...]) -> "Secrets":
        """Stored secrets, with a new one for each that is missing."""
        return cls(
            postgres=stored.get("postgres") or _password(),
            redis=stored.get("redis") or _password(),
            rabbitmq=stored.get("rabbitmq") or _password(),
            roles={
                name: stored.get("roles", {}).get(name) or _password()
                for name in databases(services)
            },
            broker_users={
                name: stored.get("broker_users", {}).get(name) or _password()
                for name in broker_users(services)
            },
            services={
                name: stored.get("services", {}).get(name) or GENERATORS[kind]()
                for name, kind in _declared(services).items()
            },
        )

    @classmethod
    def stored_in(cls, file: Path) -> "Secrets":
        """The secrets of a file. Missing ones, such as those of a new service, are added."""
        stored = json.loads(file.read_text()) if file.exists() else {}
        complete = cls.completed(stored, load_services())
        if asdict(complete) != stored:
            _write(file, json.dumps(asdict(complete), indent=1))
        return complete


def _declared(services: tuple[Service, ...]) -> dict[str, str]:
    """The kind of each declared secret by its full name."""
    return {
        f"{service.name}.secrets.{name}": kind
        for service in services
        for name, kind in service.secrets.items()
    }


def _write(file: Path, text: str) -> None:
    # Renamed when it is complete: a partly written file would break every later start.
    draft = file.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)
    draft.replace(file)
