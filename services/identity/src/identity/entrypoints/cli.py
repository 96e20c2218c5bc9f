"""The command `identity`."""

from collections.abc import Sequence

from goticket_platform.cli import CommandLine, Migrations, Process, execute
from goticket_platform.settings import load

from identity import bootstrap
from identity.config import DatabaseSettings, RelaySettings, ServeSettings

COMMANDS = CommandLine(
    "identity",
    processes={
        "serve": Process(ServeSettings, bootstrap.run_server),
        "relay": Process(RelaySettings, bootstrap.run_relay),
    },
    migrations=Migrations("identity.migrations", lambda: load(DatabaseSettings).database_url),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name."""
    execute(COMMANDS, argv)
