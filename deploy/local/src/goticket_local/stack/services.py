"""The processes of the system and their settings, as data."""

from collections.abc import Mapping
from dataclasses import dataclass

from goticket_local.stack.ports import Ports

HOST = "127.0.0.1"
SERVICES_WITH_TABLES = ("identity", "catalog", "booking", "notification")


@dataclass(frozen=True)
class StackConfig:
    """What the processes are told: where everything is, and the keys."""

    ports: Ports
    database_urls: Mapping[str, str]
    redis_url: str
    amqp_url: str
    signing_key: str
    ticket_key: str
    admin_email: str
    admin_password: str


@dataclass(frozen=True)
class Service:
    """One process: its command, the port that tells its readiness, its settings.

    Settings are named without their prefix, the service's name: DATABASE_URL is
    IDENTITY_DATABASE_URL for `identity serve`.
    """

    command: str
    ops_port: int
    settings: Mapping[str, str]

    @property
    def prefix(self) -> str:
        """What its environment variables begin with."""
        return f"{self.command.split()[0].upper()}_"

    @property
    def environment(self) -> dict[str, str]:
        """Its settings as environment variables."""
        settings = {"METRICS_LISTEN": f"{HOST}:{self.ops_port}", **self.settings}
        return {f"{self.prefix}{name}": value for name, value in settings.items()}


def services(config: StackConfig) -> list[Service]:
    """Every process, in the order of their names' appearance in a request's way."""
    ports = config.ports
    database = {name: {"DATABASE_URL": url} for name, url in config.database_urls.items()}
    redis = {"REDIS_URL": config.redis_url}
    amqp = {"AMQP_URL": config.amqp_url}
    identity_target = {"IDENTITY_TARGET": f"{HOST}:{ports.identity}"}
    catalog_target = {"CATALOG_TARGET": f"{HOST}:{ports.catalog}"}
    booking_target = {"BOOKING_TARGET": f"{HOST}:{ports.booking}"}
    issuer = {"ISSUER": "https://goticket.example", "AUDIENCE": "goticket"}
    return [
        Service(
            "gateway serve",
            ports.gateway_ops,
            # One process: the cores are shared with every other service and server here.
            {"LISTEN": f"{HOST}:{ports.gateway}", "PUBLIC_METRICS": "true", "WORKERS": "1"}
            | (identity_target | catalog_target | booking_target | redis | issuer),
        ),
        Service(
            "identity serve",
            ports.identity_ops,
            (database["identity"] | redis | issuer)
            | {
                "GRPC_LISTEN": f"{HOST}:{ports.identity}",
                "SIGNING_KEY": config.signing_key,
                "ADMIN_EMAIL": config.admin_email,
                "ADMIN_PASSWORD": config.admin_password,
            },
        ),
        Service("identity relay", ports.identity_relay_ops, database["identity"] | amqp),
        Service(
            "catalog serve",
            ports.catalog_ops,
            {"GRPC_LISTEN": f"{HOST}:{ports.catalog}"} | database["catalog"] | booking_target,
        ),
        Service("catalog relay", ports.catalog_relay_ops, database["catalog"] | amqp),
        Service(
            "booking serve",
            ports.booking_ops,
            {"GRPC_LISTEN": f"{HOST}:{ports.booking}", "TICKET_KEY": config.ticket_key}
            | (database["booking"] | redis | catalog_target),
        ),
        Service("booking relay", ports.booking_relay_ops, database["booking"] | amqp),
        Service(
            "booking worker",
            ports.booking_worker_ops,
            database["booking"] | redis | amqp,
        ),
        Service(
            "booking sweeper",
            ports.booking_sweeper_ops,
            database["booking"] | redis | catalog_target,
        ),
        Service(
            "notification worker",
            ports.notification_worker_ops,
            (database["notification"] | amqp)
            | {
                "SMTP_HOST": HOST,
                "SMTP_PORT": str(ports.smtp),
                "SMTP_TLS": "none",
                "SENDER": "GoTicket <tickets@goticket.example>",
                "PUBLIC_URL": f"http://{HOST}:{ports.gateway}",
            },
        ),
    ]
