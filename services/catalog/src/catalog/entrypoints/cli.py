"""The `catalog` command: serve, relay, migrate."""

import sys
from collections.abc import Sequence

from goticket_platform.lifecycle import run
from goticket_platform.logs import configure_logging
from goticket_platform.migrations import migrate_command
from goticket_platform.settings import ServiceSettings, load
from goticket_platform.telemetry import configure_tracing

from catalog import bootstrap
from catalog.config import CatalogSettings, RelaySettings, ServeSettings

USAGE = "usage: catalog serve | relay | migrate up | migrate down [STEPS] | migrate status\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Run one of the catalog's processes; exit with 2 when asked for none of them."""
    match list(sys.argv[1:] if argv is None else argv):
        case ["serve"]:
            serve_settings = load(ServeSettings)
            _observe(serve_settings)
            run(lambda stop: bootstrap.run_server(serve_settings, stop))
        case ["relay"]:
            relay_settings = load(RelaySettings)
            _observe(relay_settings)
            run(lambda stop: bootstrap.run_relay(relay_settings, stop))
        case ["migrate", *rest]:
            settings = load(CatalogSettings)
            sys.exit(migrate_command(rest, settings.database_url, "catalog.migrations"))
        case _:
            sys.stderr.write(USAGE)
            sys.exit(2)


def _observe(settings: ServiceSettings) -> None:
    configure_logging("catalog", settings.log_level)
    configure_tracing("catalog", settings.otlp_endpoint, settings.trace_sample_ratio)
