"""The command `gateway`."""

import argparse
from collections.abc import Sequence

from goticket_platform.lifecycle import Stop, run
from goticket_platform.logs import configure_logging
from goticket_platform.settings import load
from goticket_platform.telemetry import configure_tracing
from opentelemetry.instrumentation.redis import RedisInstrumentor

from gateway.bootstrap import run_gateway
from gateway.config import GatewaySettings
from gateway.workers import run_workers


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `gateway serve`."""
    parser = argparse.ArgumentParser(prog="gateway", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve the public API; settings come from GATEWAY_*")
    parser.parse_args(arguments)
    settings = load(GatewaySettings)
    configure_logging("gateway", settings.log_level)
    configure_tracing("gateway", settings.otlp_endpoint, settings.trace_sample_ratio)
    if settings.otlp_endpoint:
        # Without a collector its spans are never seen, and each command costs 10 microseconds.
        RedisInstrumentor().instrument()

    async def serve(stop: Stop) -> None:
        start = run_workers if settings.processes > 1 else run_gateway
        await start(settings, stop)

    run(serve)


if __name__ == "__main__":
    main()
