"""The plan of a run comes from its seed alone and spares nobody."""

from goticket_testing.chaos.faults import KINDS, MAIL, OF_PROCESSES, SERVERS, plan

PROCESSES = ["gateway serve", "booking serve", "booking relay", "notification worker"]


def test_the_same_seed_makes_the_same_plan_and_another_one_another() -> None:
    assert plan(1, 60, PROCESSES) == plan(1, 60, PROCESSES)
    assert plan(1, 60, PROCESSES) != plan(2, 60, PROCESSES)


def test_every_target_has_its_turn_and_all_ends_in_time() -> None:
    for seed in range(50):
        faults = plan(seed, 60, PROCESSES)
        assert {fault.target for fault in faults} == {*SERVERS, MAIL, *PROCESSES}
        assert all(0 <= fault.at < 60 and 0 < fault.seconds <= 10 for fault in faults)
        assert all(fault.kind in KINDS.get(fault.target, OF_PROCESSES) for fault in faults)
