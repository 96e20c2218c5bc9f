"""Reads `services/<name>/service.toml`: the one description of a service outside its code."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any

CHECKOUT = Path(__file__).parents[4]
SERVERS = frozenset({"postgres", "redis", "rabbitmq", "smtp"})
"""The infrastructure that a process may need."""
SECRET_KINDS = frozenset({"ed25519_seed", "token"})


class ManifestError(Exception):
    """A service.toml is missing, incomplete or contradicts itself."""


@dataclass(frozen=True)
class Database:
    """The schema that a service owns, the role that owns it, and its messaging tables."""

    schema: str
    role: str
    messaging: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setting:
    """One environment variable of a service.

    `value` is a template. A name in braces is replaced by the deployment: see
    `docs/howto/add-a-service.md`. Without a template the setting keeps its default.
    """

    name: str
    required: bool = False
    secret: bool = False
    value: str | None = None

    @property
    def references(self) -> tuple[str, ...]:
        """The names in braces."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.value or "") if name)


@dataclass(frozen=True)
class ProcessManifest:
    """One process of a service: its command, ports by purpose, needs and settings."""

    service: str
    name: str
    command: str
    settings_class: str
    ports: Mapping[str, int]
    needs: tuple[str, ...]
    settings: tuple[Setting, ...]

    def port_name(self, purpose: str) -> str:
        """The name of a port in the local stack.

        The first port of `serve` has the name of the service. Another process or another
        purpose is appended: `booking_ops`, `booking_relay_ops`.
        """
        parts = [self.service]
        if self.name != "serve":
            parts.append(self.name)
        if self.name != "serve" or purpose != next(iter(self.ports)):
            parts.append(purpose)
        return "_".join(parts)


@dataclass(frozen=True)
class Service:
    """One service, as its service.toml describes it."""

    name: str
    description: str
    folder: Path
    database: Database | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    processes: Mapping[str, ProcessManifest] = field(default_factory=dict)
    layers: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """The prefix of its environment variables."""
        return f"{self.name.upper()}_"


def load_services(checkout: Path = CHECKOUT) -> tuple[Service, ...]:
    """Every service of a checkout, sorted by name.

    Raises:
        ManifestError: a folder under `services/` has no valid service.toml.
    """
    folders = sorted(path.parent for path in checkout.glob("services/*/pyproject.toml"))
    return tuple(load_service(folder) for folder in folders)


def load_service(folder: Path) -> Service:
    """One service from its folder.

    Raises:
        ManifestError: its service.toml is missing or not valid.
    """
    file = folder / "service.toml"
    try:
        content = tomllib.loads(file.read_text())
        service = _service(folder, content)
    except (OSError, KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise ManifestError(f"{file}: {error!r}") from error
    problems = list(_problems(service))
    if problems:
        raise ManifestError("\n".join(f"{file}: {problem}" for problem in problems))
    return service


def databases(services: tuple[Service, ...]) -> dict[str, Database]:
    """The databases of the services that own one, by the service's name."""
    return {each.name: each.database for each in services if each.database}


def broker_users(services: tuple[Service, ...]) -> tuple[str, ...]:
    """The services that have a RabbitMQ user: those with a process that needs RabbitMQ."""
    return tuple(
        service.name
        for service in services
        if any("rabbitmq" in process.needs for process in service.processes.values())
    )


def _service(folder: Path, content: dict[str, Any]) -> Service:
    settings = {name: Setting(name, **keys) for name, keys in content["settings"].items()}
    database = content.get("database")
    return Service(
        name=content["name"],
        description=content["description"],
        folder=folder,
        database=_database(database) if database else None,
        secrets=content.get("secrets", {}),
        settings=settings,
        processes={
            name: _process(content["name"], name, keys, settings)
            for name, keys in content["processes"].items()
        },
        layers=tuple(content["layers"]),
    )


def _database(keys: dict[str, Any]) -> Database:
    return Database(keys["schema"], keys["role"], tuple(keys.get("messaging", ())))


def _process(
    service: str, name: str, keys: dict[str, Any], settings: Mapping[str, Setting]
) -> ProcessManifest:
    return ProcessManifest(
        service=service,
        name=name,
        command=keys["command"],
        settings_class=keys["settings_class"],
        ports=keys["ports"],
        needs=tuple(keys.get("needs", ())),
        settings=tuple(settings[each] for each in keys.get("settings", ())),
    )


def _problems(service: Service) -> list[str]:
    problems = []
    if service.name != service.folder.name:
        problems.append(f"the folder is not named {service.name}")
    problems += [
        f"{name} does not start with {service.prefix}"
        for name in service.settings
        if not name.startswith(service.prefix)
    ]
    problems += [
        f"secret {name} is of no known kind ({', '.join(sorted(SECRET_KINDS))})"
        for name, kind in service.secrets.items()
        if kind not in SECRET_KINDS
    ]
    problems += [
        f"process {process.name} has no port for operations: ports.ops"
        for process in service.processes.values()
        if "ops" not in process.ports
    ]
    return problems
