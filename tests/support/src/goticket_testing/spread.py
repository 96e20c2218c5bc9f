"""How tests are spread over workers: what shares a system stays together, the slowest first."""

from typing import Any

import pytest
from goticket_local import ports
from xdist.remote import Producer  # type: ignore[import-untyped]  # it ships no types
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # as above

SYSTEMS = {
    "tests/chaos/": "chaos_stack",
    "tests/e2e/": "stack",
    "tests/support/tests/test_stack.py": "stack",
}
"""Where tests use a whole running system, and the fixture that is it: one worker runs them all."""


class Spread(LoadScopeScheduling):  # type: ignore[misc]  # untyped, as above
    """Gives a free worker the next group of tests, in the order of `turn`."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def group(nodeid: str) -> str:
    """What must run in one worker: all tests of a system, or else those of one file."""
    path = nodeid.partition("::")[0]
    systems = (system for folder, system in SYSTEMS.items() if path.startswith(folder))
    return next(systems, path)


def turn(nodeid: str) -> int:
    """When a test's group begins: whole systems take minutes, unit tests fill the last gaps."""
    path = nodeid.partition("::")[0]
    if group(nodeid) != path:
        return 0
    return 2 if "/unit/" in path else 1


def worker_input(config: pytest.Config) -> dict[str, Any] | None:
    """What this process was told if it is one of several that pytest-xdist started, else None."""
    return getattr(config, "workerinput", None)


def worker_output(config: pytest.Config) -> dict[str, Any] | None:
    """What such a process hands back in the end; simple values only."""
    return getattr(config, "workeroutput", None)


def pytest_configure(config: pytest.Config) -> None:
    """Let no two workers choose the same port."""
    if given := worker_input(config):
        ports.keep_to_share(int(given["workerid"].removeprefix("gw")), given["workercount"])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Spread:
    """Spread the tests in our way, whatever `--dist` says."""
    config.option.loadscopereorder = False  # the order is ours
    return Spread(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests of a worker in order; those of an undivided run stay as they are."""
    if worker_input(config) is not None:
        items.sort(key=lambda item: turn(item.nodeid))
