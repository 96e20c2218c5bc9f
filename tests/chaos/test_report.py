"""A report shows seed, timeline and violations, however far the run came."""

from goticket_testing.chaos.records import ClientResponse, Operation, Purchase
from goticket_testing.chaos.run import Report


def test_an_interrupted_run_still_reports_its_seed_and_its_faults() -> None:
    report = Report(7, 30, timeline=["1.00 s  postgres: kill -9"])
    assert "seed 7" in str(report)
    assert "postgres: kill -9" in str(report)
    assert "not checked" in str(report)


def test_a_checked_run_reports_the_responses_and_the_violations() -> None:
    responses = [ClientResponse(Operation.BOOK, None), ClientResponse(Operation.BOOK, 201)]
    purchase = Purchase(
        "ann", "ann@x.example", "event", "key", {"type": 1}, hold=False, responses=responses
    )
    report = Report(7, 30, purchases=[purchase], violations=["oversold: 2 of 1"])
    assert "1 purchases; 1 book 201, 1 book without response" in str(report)
    assert "violations: 1" in str(report)
    assert "oversold: 2 of 1" in str(report)
