"""The command `catalog`."""

from collections.abc import Sequence

from goticket_platform.cli import CommandLine, Migrations, Process, Report, execute
from goticket_platform.settings import load

from catalog import bootstrap
from catalog.config import CatalogSettings, RelaySettings, ServeSettings

COMMANDS = CommandLine(
    "catalog",
    processes={
        "serve": Process(ServeSettings, bootstrap.run_server),
        "relay": Process(RelaySettings, bootstrap.run_relay),
    },
    reports={"moved-events": Report(CatalogSettings, bootstrap.moved_events)},
    migrations=Migrations("catalog.migrations", lambda: load(CatalogSettings).database_url),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name."""
    execute(COMMANDS, argv)
