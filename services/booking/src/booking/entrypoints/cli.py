"""`booking serve | relay | worker | sweeper | migrate … | dead-letters …`."""

import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from goticket_contracts.topology import BOOKING_CATALOG_EVENTS
from goticket_platform.lifecycle import Stop, run
from goticket_platform.logs import configure_logging
from goticket_platform.messaging.dead_letters import dead_letters_command
from goticket_platform.migrations import migrate_command
from goticket_platform.settings import ServiceSettings, load
from goticket_platform.telemetry import configure_tracing

from booking import bootstrap
from booking.config import (
    BrokerSettings,
    DatabaseSettings,
    RelaySettings,
    ServeSettings,
    SweeperSettings,
    WorkerSettings,
)

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)

USAGE = """\
usage: booking serve | relay | worker | sweeper
       booking migrate up | down [STEPS] | status
       booking dead-letters list | replay [--limit N]
"""


def main() -> None:
    """Run the command that the arguments name."""
    match sys.argv[1:]:
        case ["serve"]:
            _run(ServeSettings, bootstrap.run_server)
        case ["relay"]:
            _run(RelaySettings, bootstrap.run_relay)
        case ["worker"]:
            _run(WorkerSettings, bootstrap.run_worker)
        case ["sweeper"]:
            _run(SweeperSettings, bootstrap.run_sweeper)
        case ["migrate", *arguments]:
            dsn = load(DatabaseSettings).database_url
            sys.exit(migrate_command(arguments, dsn, "booking.migrations"))
        case ["dead-letters", *arguments]:
            amqp_url = load(BrokerSettings).amqp_url
            sys.exit(dead_letters_command(arguments, amqp_url, BOOKING_CATALOG_EVENTS))
        case _:
            sys.stderr.write(USAGE)
            sys.exit(2)


def _run(kind: type[SettingsT], process: Callable[[SettingsT, Stop], Awaitable[None]]) -> None:
    settings = load(kind)
    configure_logging("booking", settings.log_level)
    configure_tracing("booking", settings.otlp_endpoint, settings.trace_sample_ratio)

    async def main(stop: Stop) -> None:
        await process(settings, stop)

    run(main)
