"""The system that chaos runs on, with servers of its own: nobody else's may be killed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from goticket_testing.backend import ServerSource, running
from goticket_testing.chaos.run import Report
from goticket_testing.chaos.stack import ChaosStack
from goticket_testing.databases import Postgres
from goticket_testing.native import NativeSource

REPORTS = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORTS] = []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print seed and timeline of every run, passed or failed."""
    for report in config.stash[REPORTS]:
        terminalreporter.write_sep("-", "chaos")
        terminalreporter.write_line(report)


@pytest.fixture
def keep_report(pytestconfig: pytest.Config) -> Callable[[Report], None]:
    """Have a report printed in the end, whatever comes of the test."""
    return lambda report: pytestconfig.stash[REPORTS].append(str(report))


@pytest.fixture(scope="session")
def chaos_stack(server_source: ServerSource, session_folder: Path) -> Iterator[ChaosStack]:
    """The system with two doors, started once. Tests leave it as they found it."""
    folder = session_folder / "chaos"
    folder.mkdir(mode=0o711)
    source = NativeSource(folder) if isinstance(server_source, NativeSource) else server_source
    with (
        running(source.postgres()) as postgres,
        running(source.redis()) as redis,
        running(source.rabbitmq()) as rabbitmq,
    ):
        stack = ChaosStack(folder / "stack", Postgres(postgres), redis, rabbitmq)
        try:
            stack.set_up()
            yield stack
        finally:
            stack.stop_all()
