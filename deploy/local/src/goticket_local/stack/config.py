"""The processes of the system with their settings, made from the services' service.toml."""

from collections.abc import Mapping
from dataclasses import dataclass

from goticket_local.manifest import ProcessManifest, Service, load_services
from goticket_local.stack.accounts import ADMIN, PASSWORD
from goticket_local.stack.ports import Ports

HOST = "127.0.0.1"


@dataclass(frozen=True)
class StackConfig:
    """Addresses and secrets for the processes.

    `database_urls` has a URL for each service that owns a database, `amqp_urls` for each that has
    a RabbitMQ user. `secrets` has those that
    the services declare, named `<service>.secrets.<name>`.
    """

    ports: Ports
    database_urls: Mapping[str, str]
    redis_url: str
    amqp_urls: Mapping[str, str]
    secrets: Mapping[str, str]
    admin_email: str = ADMIN
    admin_password: str = PASSWORD

    def values(self, service: Service, services: tuple[Service, ...]) -> dict[str, str]:
        """The value of each name in braces of a service's templates."""
        values = {
            "redis": self.redis_url,
            "smtp.host": HOST,
            "smtp.port": str(self.ports["smtp"]),
            "admin.email": self.admin_email,
            "admin.password": self.admin_password,
            **self.secrets,
        }
        if service.name in self.amqp_urls:
            values["rabbitmq"] = self.amqp_urls[service.name]
        if service.name in self.database_urls:
            values["postgres"] = self.database_urls[service.name]
        for each in services:
            for process in each.processes.values():
                for purpose in process.ports:
                    port = self.ports[process.port_name(purpose)]
                    values[f"{each.name}.{process.name}.{purpose}"] = f"{HOST}:{port}"
        return values


@dataclass(frozen=True)
class ProcessConfig:
    """One process: its command, the port of its readiness probe, its settings.

    Settings are named without their prefix, the service's name: DATABASE_URL is
    IDENTITY_DATABASE_URL for `identity serve`.
    """

    command: str
    ops_port: int
    settings: Mapping[str, str]

    @property
    def prefix(self) -> str:
        """The prefix of its environment variables."""
        return f"{self.command.split()[0].upper()}_"

    @property
    def environment(self) -> dict[str, str]:
        """Its settings as environment variables."""
        settings = {"METRICS_LISTEN": f"{HOST}:{self.ops_port}", **self.settings}
        return {f"{self.prefix}{name}": value for name, value in settings.items()}


def process_configs(
    config: StackConfig, services: tuple[Service, ...] | None = None
) -> list[ProcessConfig]:
    """Every process of the services; by default those of this checkout.

    Raises:
        KeyError: a setting refers to something that the local stack does not have.
    """
    services = load_services() if services is None else services
    return [
        _process_config(process, config.ports, config.values(service, services))
        for service in services
        for process in service.processes.values()
    ]


def _process_config(
    process: ProcessManifest, ports: Ports, values: Mapping[str, str]
) -> ProcessConfig:
    prefix = f"{process.service.upper()}_"
    return ProcessConfig(
        command=process.command,
        ops_port=ports[process.port_name("ops")],
        settings={
            setting.name.removeprefix(prefix): _resolved(setting.value, values)
            for setting in process.settings
            if setting.value is not None
        },
    )


def _resolved(template: str, values: Mapping[str, str]) -> str:
    """Replace the names in braces; a name may contain dots."""
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", value)
    if "{" in template:
        raise KeyError(template)
    return template
