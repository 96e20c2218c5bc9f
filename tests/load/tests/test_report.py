"""Figures are compared with their bounds, and the output of pgbench is parsed."""

import math

import pytest
from goticket_load.baselines import transactions_per_second
from goticket_load.goals import Goal


@pytest.mark.parametrize(
    ("measured", "result"),
    [(8.1, "aim reached"), (4.0, "reached"), (3.9, "MISSED"), (math.nan, "not measured")],
)
def test_a_ratio_has_lower_bounds(measured: float, result: str) -> None:
    assert Goal("hot / pgbench", 4, 8, measured).result == result


@pytest.mark.parametrize(
    ("measured", "result"), [(39, "aim reached"), (99, "reached"), (101, "MISSED")]
)
def test_a_latency_has_upper_bounds(measured: float, result: str) -> None:
    assert Goal("p99", 100, 40, measured, below=True).result == result


def test_one_violation_misses_the_goal() -> None:
    assert Goal("oversold", 0, 0, 0, below=True).result == "aim reached"
    assert Goal("oversold", 0, 0, 1, below=True).result == "MISSED"


def test_the_rate_of_pgbench_is_parsed() -> None:
    output = "latency average = 34.5 ms\ntps = 1850.123456 (without initial connection time)\n"
    assert transactions_per_second(output) == pytest.approx(1850.12, abs=0.01)
    with pytest.raises(ValueError, match="nothing"):
        transactions_per_second("nothing")
