"""The whole system under test: real processes on the servers of the session."""

from pathlib import Path

from goticket_local.stack.accounts import ensure_accounts
from goticket_local.stack.broker import bootstrap_broker, service_urls
from goticket_local.stack.config import StackConfig
from goticket_local.stack.ports import Ports
from goticket_local.stack.secrets import Secrets
from goticket_local.stack.stack import Stack

from goticket_testing.backend import RabbitBackend, RedisBackend
from goticket_testing.databases import ROLES, SERVICES, Postgres

DATABASE = "goticket"
VHOST = "goticket"


class RunningStack(Stack):
    """The system, configured as by `make up`, with access to its servers.

    `base_url` is the gateway's address, `mailbox` has the e-mails. `process("booking relay")`,
    `kill(name)`, `start(name)` and `stop(name)` work on single processes.
    """

    def __init__(
        self,
        folder: Path,
        postgres: Postgres,
        redis: RedisBackend,
        rabbitmq: RabbitBackend,
        secrets: Secrets | None = None,
    ) -> None:
        """`secrets` are those of another copy of the system on the same servers."""
        self.postgres = postgres
        self.redis = redis
        self.rabbitmq = rabbitmq
        secrets = secrets or Secrets.generate()
        self._broker_passwords = secrets.broker_users
        config = StackConfig(
            ports=Ports.free(),
            database_urls={service: postgres.dsn(service, DATABASE) for service in ROLES},
            redis_url=redis.url(),
            amqp_urls=service_urls(rabbitmq, VHOST, SERVICES, secrets.broker_users),
            secrets=secrets.services,
        )
        super().__init__(config, run_dir=folder / "run", log_dir=folder / "logs")

    @property
    def amqp_url(self) -> str:
        """The broker's URL for its administrator, who can read every queue."""
        return self.rabbitmq.amqp_url(VHOST)

    @property
    def mailbox_url(self) -> str:
        """The URL of the mailbox's page and API."""
        return self.mailbox.url

    def environment(self, name: str) -> dict[str, str]:
        """The settings of one process, such as "identity serve"."""
        return self.process_configs[name].environment

    def database_url(self, service: str) -> str:
        """The database's URL for a service's role."""
        return self.config.database_urls[service]

    def superuser_url(self) -> str:
        """The database's URL for a superuser, who can read every schema."""
        return self.postgres.superuser_dsn(DATABASE)

    def set_up(self) -> None:
        """Create database, virtual host and demo accounts; migrate and start."""
        self.set_up_servers()
        self.start()
        ensure_accounts(self.base_url)

    def set_up_servers(self) -> None:
        """Create and migrate the database; create the virtual host with users and queues."""
        self.postgres.create_database(DATABASE)
        bootstrap_broker(self.rabbitmq, VHOST, SERVICES, self._broker_passwords)
        self.migrate()

    def heal(self) -> None:
        """Start what a test has stopped or killed, servers first; wait until all are ready."""
        self.postgres.start()
        self.redis.start()
        self.rabbitmq.start()
        self.start()
