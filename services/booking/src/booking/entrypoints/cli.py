"""The command `booking`."""

from collections.abc import Sequence

from goticket_contracts.topology import BOOKING_CATALOG_EVENTS
from goticket_platform.cli import CommandLine, DeadLetters, Migrations, Process, execute
from goticket_platform.settings import load

from booking import bootstrap
from booking.config import (
    BrokerSettings,
    DatabaseSettings,
    RelaySettings,
    ServeSettings,
    SweeperSettings,
    WorkerSettings,
)

COMMANDS = CommandLine(
    "booking",
    processes={
        "serve": Process(ServeSettings, bootstrap.run_server),
        "relay": Process(RelaySettings, bootstrap.run_relay),
        "worker": Process(WorkerSettings, bootstrap.run_worker),
        "sweeper": Process(SweeperSettings, bootstrap.run_sweeper),
    },
    migrations=Migrations("booking.migrations", lambda: load(DatabaseSettings).database_url),
    dead_letters=DeadLetters(BOOKING_CATALOG_EVENTS, lambda: load(BrokerSettings).amqp_url),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name."""
    execute(COMMANDS, argv)
