"""The command `notification`."""

from collections.abc import Sequence

from goticket_contracts.topology import NOTIFICATION_EVENTS
from goticket_platform.cli import (
    CommandLine,
    DeadLetters,
    Migrations,
    Process,
    Replayable,
    execute,
)
from goticket_platform.settings import load

from notification import bootstrap
from notification.config import BrokerSettings, DatabaseSettings, WorkerSettings
from notification.refused_deliveries import list_refused, replay_refused

COMMANDS = CommandLine(
    "notification",
    processes={"worker": Process(WorkerSettings, bootstrap.run_worker)},
    migrations=Migrations("notification.migrations", lambda: load(DatabaseSettings).database_url),
    dead_letters=DeadLetters(NOTIFICATION_EVENTS, lambda: load(BrokerSettings).amqp_url),
    replayables={
        "refused-deliveries": Replayable(
            lambda limit: list_refused(load(DatabaseSettings).database_url, limit),
            lambda limit: replay_refused(load(DatabaseSettings).database_url, limit),
        )
    },
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name."""
    execute(COMMANDS, argv)
