"""What the table says about a figure, and pgbench's words."""

import math

import pytest
from goticket_load.report import Goal
from goticket_load.yardsticks import transactions_per_second


@pytest.mark.parametrize(
    ("measured", "said"),
    [(8.1, "aim reached"), (4.0, "reached"), (3.9, "MISSED"), (math.nan, "not measured")],
)
def test_a_ratio_is_held_against_its_lower_bounds(measured: float, said: str) -> None:
    assert Goal("hot / pgbench", 4, 8, measured).reached == said


@pytest.mark.parametrize(
    ("measured", "said"), [(39, "aim reached"), (99, "reached"), (101, "MISSED")]
)
def test_a_latency_is_held_against_its_upper_bounds(measured: float, said: str) -> None:
    assert Goal("p99", 100, 40, measured, below=True).reached == said


def test_any_violation_misses_its_goal() -> None:
    assert Goal("oversold", 0, 0, 0, below=True).reached == "aim reached"
    assert Goal("oversold", 0, 0, 1, below=True).reached == "MISSED"


def test_pgbench_tells_its_rate() -> None:
    output = "latency average = 34.5 ms\ntps = 1850.123456 (without initial connection time)\n"
    assert transactions_per_second(output) == pytest.approx(1850.12, abs=0.01)
    with pytest.raises(ValueError, match="nothing"):
        transactions_per_second("nothing")
