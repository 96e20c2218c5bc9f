"""The system that chaos runs on, with servers of its own: nobody else's may be killed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from goticket_local.stack.stack import at_once
from goticket_testing.backend import ServerSource
from goticket_testing.chaos.plugin import REPORT
from goticket_testing.chaos.run import Report
from goticket_testing.chaos.stack import ChaosStack
from goticket_testing.databases import Postgres
from goticket_testing.native import NativeSource


@pytest.fixture
def keep_report(record_property: Callable[[str, object], None]) -> Callable[[Report], None]:
    """Have a report printed in the end, whatever comes of the test."""
    return lambda report: record_property(REPORT, str(report))


@pytest.fixture(scope="session")
def chaos_stack(server_source: ServerSource, session_folder: Path) -> Iterator[ChaosStack]:
    """The system with two doors, started once. Tests leave it as they found it."""
    folder = session_folder / "chaos"
    folder.mkdir(mode=0o711)
    source = NativeSource(folder) if isinstance(server_source, NativeSource) else server_source
    postgres, redis, rabbitmq = source.postgres(), source.redis(), source.rabbitmq()
    servers = (postgres, redis, rabbitmq)
    with ExitStack() as ends:
        ends.callback(at_once, *(server.discard for server in servers))
        at_once(*(server.start for server in servers))
        stack = ChaosStack(folder / "stack", Postgres(postgres), redis, rabbitmq)
        ends.callback(stack.discard)
        stack.set_up()
        yield stack
