"""The plan of a run comes from its seed alone and spares nobody."""

from goticket_testing.chaos.plan import KINDS, OF_PROCESSES, plan
from goticket_testing.chaos.run import CALM_SECONDS

PROCESSES = [f"process {number}" for number in range(12)]


def test_the_same_seed_makes_the_same_plan_and_another_one_another() -> None:
    assert plan(1, 60, PROCESSES) == plan(1, 60, PROCESSES)
    assert plan(1, 60, PROCESSES) != plan(2, 60, PROCESSES)


def test_in_half_a_minute_every_target_has_its_turn_and_all_ends_in_time() -> None:
    seconds = 30 - CALM_SECONDS
    for seed in range(50):
        faults = plan(seed, seconds, PROCESSES)
        assert {fault.target for fault in faults} == {*KINDS, *PROCESSES}
        assert all(0 <= fault.at < seconds and 0 < fault.seconds <= 10 for fault in faults)


def test_in_three_minutes_everything_happens_to_every_target() -> None:
    all_there_is = {(target, kind) for target, kinds in KINDS.items() for kind in kinds}
    all_there_is |= {(process, kind) for process in PROCESSES for kind in OF_PROCESSES}
    for seed in range(50):
        faults = plan(seed, 180 - CALM_SECONDS, PROCESSES)
        assert {(fault.target, fault.kind) for fault in faults} == all_there_is
