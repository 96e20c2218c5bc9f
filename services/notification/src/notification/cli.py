"""`notification worker | migrate up|down|status | dead-letters list|replay`."""

import sys
from collections.abc import Sequence

from goticket_contracts.topology import NOTIFICATION_BOOKING_EVENTS
from goticket_platform.lifecycle import run
from goticket_platform.logs import configure_logging
from goticket_platform.messaging.dead_letters import dead_letters_command
from goticket_platform.migrations import migrate_command
from goticket_platform.settings import load
from goticket_platform.telemetry import configure_tracing

from notification import bootstrap
from notification.config import BrokerSettings, DatabaseSettings, WorkerSettings

USAGE = (
    "usage: notification worker | migrate up | migrate down [STEPS] | migrate status"
    " | dead-letters list [--limit N] | dead-letters replay [--limit N]\n"
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name; exit with 2 when they name none."""
    match list(sys.argv[1:] if argv is None else argv):
        case ["worker"]:
            settings = load(WorkerSettings)
            configure_logging("notification", settings.log_level)
            configure_tracing("notification", settings.otlp_endpoint, settings.trace_sample_ratio)
            run(lambda stop: bootstrap.run_worker(settings, stop))
        case ["migrate", *rest]:
            dsn = load(DatabaseSettings).database_url
            sys.exit(migrate_command(rest, dsn, "notification.migrations"))
        case ["dead-letters", "list" | "replay", *_] as command:
            amqp_url = load(BrokerSettings).amqp_url
            sys.exit(dead_letters_command(command[1:], amqp_url, NOTIFICATION_BOOKING_EVENTS))
        case _:
            sys.stderr.write(USAGE)
            sys.exit(2)
