"""The system under chaos. It has its own servers, so that faults do not disturb other tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from goticket_local.concurrency import run_concurrently
from goticket_testing.backend import ServerSource
from goticket_testing.chaos.plugin import REPORT
from goticket_testing.chaos.run import Report
from goticket_testing.chaos.stack import ChaosStack
from goticket_testing.databases import Postgres
from goticket_testing.native import NativeSource


@pytest.fixture
def keep_report(record_property: Callable[[str, object], None]) -> Callable[[Report], None]:
    """Print a report at the end of the session, whether the test passes or fails."""
    return lambda report: record_property(REPORT, str(report))


@pytest.fixture(scope="session")
def chaos_stack(server_source: ServerSource, session_folder: Path) -> Iterator[ChaosStack]:
    """The running system with two gateways. Each test restores what it has changed."""
    folder = session_folder / "chaos"
    folder.mkdir(mode=0o711)
    source = NativeSource(folder) if isinstance(server_source, NativeSource) else server_source
    postgres, redis, rabbitmq = source.postgres(), source.redis(), source.rabbitmq()
    servers = (postgres, redis, rabbitmq)
    with ExitStack() as cleanup:
        cleanup.callback(run_concurrently, *(server.discard for server in servers))
        run_concurrently(*(server.start for server in servers))
        stack = ChaosStack(folder / "stack", Postgres(postgres), redis, rabbitmq)
        cleanup.callback(stack.discard)
        stack.set_up()
        yield stack
