"""How tests are spread over workers."""

import pytest
from goticket_local import ports
from goticket_testing.spread import SYSTEMS, group, turn

RUSH = "tests/e2e/test_rush.py::test_200_buyers[a/b::c]"
STACK = "tests/support/tests/test_stack.py::test_a_process_stops"
RELAY = "libs/platform/tests/messaging/test_relay.py::test_order"
MONEY = "libs/documents/tests/unit/test_money.py::test_sums"


def test_what_uses_one_system_runs_in_one_worker() -> None:
    assert group(RUSH) == group(STACK) == "stack"


def test_any_other_file_may_run_anywhere_but_whole() -> None:
    assert group(RELAY) == "libs/platform/tests/messaging/test_relay.py"


def test_whole_systems_begin_first_and_unit_tests_last() -> None:
    assert sorted([MONEY, RELAY, RUSH], key=turn) == [RUSH, RELAY, MONEY]


def test_nobody_uses_a_system_outside_its_group(request: pytest.FixtureRequest) -> None:
    strays = [
        item.nodeid
        for item in request.session.items
        for system in set(SYSTEMS.values()) & set(getattr(item, "fixturenames", ()))
        if group(item.nodeid) != system
    ]
    assert strays == []


def test_workers_choose_from_ports_that_nobody_else_chooses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ports, "_candidates", ports.CANDIDATES)  # put back in the end
    chosen = []
    for worker in range(3):
        ports.keep_to_share(worker, 3)
        chosen += [port % 3 for port in ports.free_ports(20)]
    assert len(set(chosen)) == 3
    assert [chosen.count(share) for share in set(chosen)] == [20, 20, 20]
