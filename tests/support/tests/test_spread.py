"""The distribution of tests over workers."""

import pytest
from goticket_local import ports
from goticket_testing.spread import SYSTEMS, group, priority

CONCURRENT = "tests/e2e/test_concurrent_buyers.py::test_200_buyers[a/b::c]"
STACK = "tests/support/tests/test_stack.py::test_a_process_stops"
RELAY = "libs/platform/tests/messaging/test_relay.py::test_order"
MONEY = "libs/documents/tests/unit/test_money.py::test_sums"


def test_tests_of_one_system_run_in_one_worker() -> None:
    assert group(CONCURRENT) == group(STACK) == "stack"


def test_tests_of_one_file_run_in_one_worker() -> None:
    assert group(RELAY) == "libs/platform/tests/messaging/test_relay.py"


def test_system_tests_start_first_and_unit_tests_last() -> None:
    assert sorted([MONEY, RELAY, CONCURRENT], key=priority) == [CONCURRENT, RELAY, MONEY]


def test_only_tests_of_its_group_use_a_system(request: pytest.FixtureRequest) -> None:
    misplaced = [
        item.nodeid
        for item in request.session.items
        for system in set(SYSTEMS.values()) & set(getattr(item, "fixturenames", ()))
        if group(item.nodeid) != system
    ]
    assert misplaced == []


def test_workers_choose_from_disjoint_ports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ports, "_candidates", ports.CANDIDATES)  # restored after the test
    chosen = []
    for worker in range(3):
        ports.use_share(worker, 3)
        chosen += [port % 3 for port in ports.free_ports(20)]
    assert len(set(chosen)) == 3
    assert [chosen.count(share) for share in set(chosen)] == [20, 20, 20]
