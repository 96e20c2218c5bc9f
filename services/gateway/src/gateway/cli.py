"""The command `gateway`."""

from collections.abc import Sequence

from goticket_platform.cli import CommandLine, Process, execute
from goticket_platform.lifecycle import Stop
from opentelemetry.instrumentation.redis import RedisInstrumentor

from gateway.bootstrap import run_gateway
from gateway.config import GatewaySettings
from gateway.workers import run_workers


async def _serve(settings: GatewaySettings, stop: Stop) -> None:
    if settings.otlp_endpoint:
        # Without a collector its spans are never seen, and each command costs 10 microseconds.
        RedisInstrumentor().instrument()
    start = run_workers if settings.processes > 1 else run_gateway
    await start(settings, stop)


COMMANDS = CommandLine("gateway", processes={"serve": Process(GatewaySettings, _serve)})


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name."""
    execute(COMMANDS, argv)


if __name__ == "__main__":
    main()
