"""Distributes tests over workers: tests of one system run in one worker, the slowest first."""

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
"""Folders whose tests use a whole running system, and its fixture. One worker runs them all."""


class Spread(LoadScopeScheduling):  # type: ignore[misc]  # untyped, as above
    """Gives a free worker the next group of tests, in the order of `priority`."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def group(nodeid: str) -> str:
    """The group of a test, which runs in one worker: the tests of a system or of a file."""
    path = nodeid.partition("::")[0]
    systems = (system for folder, system in SYSTEMS.items() if path.startswith(folder))
    return next(systems, path)


def priority(nodeid: str) -> int:
    """The rank of a test's group, lowest first: whole systems, integration tests, unit tests."""
    path = nodeid.partition("::")[0]
    if group(nodeid) != path:
        return 0
    return 2 if "/unit/" in path else 1


def worker_input(config: pytest.Config) -> dict[str, Any] | None:
    """pytest-xdist's input of this worker; None outside a worker."""
    return getattr(config, "workerinput", None)


def worker_output(config: pytest.Config) -> dict[str, Any] | None:
    """pytest-xdist's output of this worker; simple values only."""
    return getattr(config, "workeroutput", None)


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker a share of the ports of its own."""
    if given := worker_input(config):
        ports.use_share(int(given["workerid"].removeprefix("gw")), given["workercount"])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Spread:
    """Use `Spread` with every value of `--dist`."""
    config.option.loadscopereorder = False  # `priority` is the order
    return Spread(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests of a worker; a run without workers keeps its order."""
    if worker_input(config) is not None:
        items.sort(key=lambda item: priority(item.nodeid))
