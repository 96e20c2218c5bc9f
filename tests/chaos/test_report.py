"""A report tells seed, timeline and what was found, however far the run has come."""

from goticket_testing.chaos.records import Order, Step, Told
from goticket_testing.chaos.run import Report


def test_a_run_that_broke_off_still_tells_its_seed_and_what_was_done() -> None:
    report = Report(7, 30, timeline=["1.00 s  postgres: kill -9"])
    assert "seed 7" in str(report)
    assert "postgres: kill -9" in str(report)
    assert "never judged" in str(report)


def test_a_judged_run_tells_what_clients_heard_and_what_is_wrong() -> None:
    told = [Told(Step.BOOK, None), Told(Step.BOOK, 201)]
    order = Order("ann", "ann@x.example", "event", "key", {"type": 1}, hold=False, told=told)
    report = Report(7, 30, orders=[order], violations=["oversold: 2 of 1"])
    assert "1 orders; 1 book 201, 1 book unanswered" in str(report)
    assert "violations: 1" in str(report)
    assert "oversold: 2 of 1" in str(report)
