"""The plan of a run depends on its seed only and includes every target."""

from goticket_testing.chaos.plan import KINDS, PROCESS_KINDS, plan
from goticket_testing.chaos.run import WARM_UP_SECONDS

PROCESSES = [f"process {number}" for number in range(12)]


def test_equal_seeds_give_equal_plans_and_different_seeds_different_ones() -> None:
    assert plan(1, 60, PROCESSES) == plan(1, 60, PROCESSES)
    assert plan(1, 60, PROCESSES) != plan(2, 60, PROCESSES)


def test_thirty_seconds_include_every_target_and_no_fault_is_too_long() -> None:
    seconds = 30 - WARM_UP_SECONDS
    for seed in range(50):
        faults = plan(seed, seconds, PROCESSES)
        assert {fault.target for fault in faults} == {*KINDS, *PROCESSES}
        assert all(0 <= fault.at < seconds and 0 < fault.seconds <= 10 for fault in faults)


def test_three_minutes_include_every_kind_of_fault_for_every_target() -> None:
    expected = {(target, kind) for target, kinds in KINDS.items() for kind in kinds}
    expected |= {(process, kind) for process in PROCESSES for kind in PROCESS_KINDS}
    for seed in range(50):
        faults = plan(seed, 180 - WARM_UP_SECONDS, PROCESSES)
        assert {(fault.target, fault.kind) for fault in faults} == expected
