"""The whole system under test: real processes on the session's servers."""

from pathlib import Path

from goticket_local.stack.accounts import ADMIN, PASSWORD, ensure_accounts
from goticket_local.stack.ports import Ports
from goticket_local.stack.secrets import Secrets
from goticket_local.stack.services import StackConfig
from goticket_local.stack.stack import Stack

from goticket_testing.backend import RabbitBackend, RedisBackend
from goticket_testing.databases import ROLES, Postgres

DATABASE = "goticket"
VHOST = "goticket"


class RunningStack(Stack):
    """The system, wired as `make up` wires it, with the handles of its servers.

    `base_url` is the gateway, `inbox` has the mails, `process("booking relay")`,
    `kill(name)`, `start(name)` and `stop(name)` are about single processes.
    """

    def __init__(
        self, folder: Path, postgres: Postgres, redis: RedisBackend, rabbitmq: RabbitBackend
    ) -> None:
        self.postgres = postgres
        self.redis = redis
        self.rabbitmq = rabbitmq
        keys = Secrets()
        config = StackConfig(
            ports=Ports.free(),
            database_urls={role: postgres.dsn(role, DATABASE) for role in ROLES},
            redis_url=redis.url(),
            amqp_url=rabbitmq.amqp_url(VHOST),
            signing_key=keys.signing_key,
            ticket_key=keys.ticket_key,
            admin_email=ADMIN,
            admin_password=PASSWORD,
        )
        super().__init__(config, run_dir=folder / "run", log_dir=folder / "logs")

    @property
    def amqp_url(self) -> str:
        """The broker, as the system's processes see it."""
        return self.config.amqp_url

    @property
    def inbox_url(self) -> str:
        """The inbox's page and API."""
        return self.inbox.url

    def environment(self, name: str) -> dict[str, str]:
        """The settings of one process, such as "identity serve"."""
        return self.services[name].environment

    def database_url(self, role: str) -> str:
        """The database, as a service's role."""
        return self.config.database_urls[role]

    def superuser_url(self) -> str:
        """The database, as a superuser who sees every schema."""
        return self.postgres.superuser_dsn(DATABASE)

    def set_up(self) -> None:
        """Create database and virtual host, migrate, start, and make the demo accounts."""
        self.postgres.create_database(DATABASE)
        self.rabbitmq.add_vhost(VHOST)
        self.migrate()
        self.start()
        ensure_accounts(self.base_url)

    def heal(self) -> None:
        """Start whatever a test has stopped or killed, servers first; wait until all is ready."""
        self.postgres.start()
        self.redis.start()
        self.rabbitmq.start()
        self.start()
