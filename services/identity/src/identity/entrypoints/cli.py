"""`identity serve | relay | migrate up|down|status`."""

import sys

from goticket_platform.lifecycle import Stop, run
from goticket_platform.logs import configure_logging
from goticket_platform.migrations import migrate_command
from goticket_platform.settings import ServiceSettings, load
from goticket_platform.telemetry import configure_tracing

from identity import bootstrap
from identity.config import DatabaseSettings, RelaySettings, ServeSettings

USAGE = "usage: identity serve | relay | migrate up | down [STEPS] | status\n"


def main() -> None:
    """Run the command that the arguments name."""
    match sys.argv[1:]:
        case ["serve"]:
            _serve()
        case ["relay"]:
            _relay()
        case ["migrate", *arguments]:
            dsn = load(DatabaseSettings).database_url
            sys.exit(migrate_command(arguments, dsn, "identity.migrations"))
        case _:
            sys.stderr.write(USAGE)
            sys.exit(2)


def _serve() -> None:
    settings = load(ServeSettings)
    _observe(settings)

    async def main(stop: Stop) -> None:
        await bootstrap.run_server(settings, stop)

    run(main)


def _relay() -> None:
    settings = load(RelaySettings)
    _observe(settings)

    async def main(stop: Stop) -> None:
        await bootstrap.run_relay(settings, stop)

    run(main)


def _observe(settings: ServiceSettings) -> None:
    configure_logging("identity", settings.log_level)
    configure_tracing("identity", settings.otlp_endpoint, settings.trace_sample_ratio)
