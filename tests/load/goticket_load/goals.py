"""The figures of the report, each with a required and a desired bound."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from goticket_load.bench import Bench
from goticket_load.email_fairness import DURING_FLOOD
from goticket_load.reads import BARE_FASTAPI, CONNECTIONS, public_routes
from goticket_load.ticket_pdfs import FIGURE as PDF_READERS

PGBENCH = "pgbench, 64 clients"
OVERLOADS = ("slow database, overload", "overload", "overload, Retry-After ignored")
MIX_BEFORE = 538 / 9257
"""Reads of the mix "holds and reads" ÷ bare FastAPI, before reads were served from a cache."""


@dataclass(frozen=True)
class Goal:
    """A line of the table. The bounds are lower bounds, or upper ones if `below`."""

    figure: str
    required: float
    desired: float
    measured: float
    below: bool = False
    unit: str = ""

    @property
    def result(self) -> str:
        """Compare the figure with its bounds."""
        if math.isnan(self.measured):
            return "not measured"
        if self._within(self.desired):
            return "aim reached"
        return "reached" if self._within(self.required) else "MISSED"

    def _within(self, bound: float) -> bool:
        return self.measured <= bound if self.below else self.measured >= bound


def goals(bench: Bench) -> list[Goal]:
    """Return every line of the table; a figure is NaN if its scenario did not run."""
    return [
        *_booking_goals(bench),
        *_overload_goals(bench),
        *_read_goals(bench),
        *_message_goals(bench),
    ]


def _booking_goals(bench: Bench) -> list[Goal]:
    figure = _figure(bench)
    hot, unary = _best_rate(bench, "hot-event"), _best_rate(bench, "unary")
    half = _percentile(bench, "hot event, half of the best rate", 99)
    rejected = figure(f"rejections / {BARE_FASTAPI}")
    cached = figure(f"rejections by the cache / {BARE_FASTAPI}")
    return [
        Goal("hot event / pgbench, one transaction a booking", 4, 8, hot / figure(PGBENCH)),
        Goal("hot event / unary path", 2.5, 5, hot / unary),
        Goal("p99 at half of the best rate", 100, 40, half, below=True, unit=" ms"),
        Goal(
            "p50 of a single client / unary path",
            1.1,
            0.9,
            figure("single client / unary"),
            below=True,
        ),
        # With a key, booking has to look for the granted request that it may repeat.
        Goal(f"sold-out rejections / {BARE_FASTAPI}", 0.5, 0.8, rejected),
        Goal(f"sold-out rejections by the cache / {BARE_FASTAPI}", 0.8, 0.95, cached),
        Goal("many events / one hot event", 0.5, 1.0, figure("many events / one")),
        Goal("many bookings stored / empty database", 0.85, 0.97, figure("stored / empty")),
    ]


def _overload_goals(bench: Bench) -> list[Goal]:
    figure = _figure(bench)
    slow, clients, ignored = (figure(f"{name}, accepted / best") for name in OVERLOADS)
    p99 = max(_percentile(bench, name, 99) for name in OVERLOADS)
    return [
        Goal("accepted at five times the rate / best rate", 0.85, 1.0, slow),
        Goal("accepted with five times the clients / best rate", 0.85, 1.0, clients),
        Goal("the same, Retry-After ignored / best rate", 0.85, 1.0, ignored),
        Goal("p99 of accepted bookings in overload", 5_000, 1_000, p99, below=True, unit=" ms"),
    ]


def _read_goals(bench: Bench) -> list[Goal]:
    figure = _figure(bench)
    few = CONNECTIONS[0]

    def ratio(name: str, required: float, desired: float, connections: int = few) -> Goal:
        text = f"{name} / {BARE_FASTAPI}, {connections:,}"
        return Goal(f"{text} connections", required, desired, figure(text))

    bare = statistics.mean(_rates(bench, f"{BARE_FASTAPI}, {few}") or [math.nan])
    mix = _rate(bench, f"holds and reads, {few}") / bare / MIX_BEFORE
    during = figure("hot event with readers / without")
    p99 = figure("reads, p99, half of the best rate")
    oldest = figure("age of the oldest answer")
    invalid = figure("invalid read responses")
    too_old = figure("answers older than 1 s")
    own = figure("own changes that were not read at once")
    return [
        *(ratio("/livez", 0.7, 1.0, connections) for connections in CONNECTIONS),
        *(
            ratio(name, 0.6, 1.0, connections)
            for name in public_routes("")
            for connections in CONNECTIONS
        ),
        ratio("different events", 0.25, 0.6),
        ratio("own booking", 0.12, 0.3),
        ratio("own tickets", 0.12, 0.3),
        ratio("qr.svg", 0.1, 0.3),
        Goal("holds and reads / before reads were cached", 4, 8, mix),
        Goal("hot event with five times as many readers / alone", 0.3, 0.5, during),
        Goal(PDF_READERS, 2, 1.3, figure(PDF_READERS), below=True),
        Goal("p99 of reads at half of their best rate", 50, 15, p99, below=True, unit=" ms"),
        Goal("age of the oldest answer", 1_000, 1_000, oldest, below=True, unit=" ms"),
        Goal("answers older than 1 s", 0, 0, too_old, below=True),
        Goal("own changes that were not read at once", 0, 0, own, below=True),
        Goal("responses with a wrong status, ETag, Age", 0, 0, invalid, below=True),
    ]


def _message_goals(bench: Bench) -> list[Goal]:
    figure = _figure(bench)
    broken = float(sum(each.violations for each in bench.rule_results))
    wrong = broken if bench.rule_results else math.nan
    return [
        Goal("relayed messages/s", 3000, 3000, figure("relayed")),
        Goal("e-mails with PDF/s, one process", 150, 150, figure("e-mails with PDF")),
        Goal(DURING_FLOOD, 2_000, 1_000, figure(DURING_FLOOD), below=True, unit=" ms"),
        Goal("oversold, lost or duplicated", 0, 0, wrong, below=True),
    ]


def _figure(bench: Bench) -> Callable[[str], float]:
    """Return a lookup of figures; NaN if there is none."""
    return lambda name: bench.figures.get(name, math.nan)


def _rates(bench: Bench, name: str) -> Sequence[float]:
    return [each.rate for each in bench.loads if each.name == name]


def _rate(bench: Bench, name: str) -> float:
    """The rate of the latest load of that name."""
    found = bench.latest(name)
    return found.rate if found and found.rate else math.nan


def _best_rate(bench: Bench, scenario: str) -> float:
    rates = (each.rate for each in bench.loads if each.scenario == scenario)
    return max(rates, default=math.nan)


def _percentile(bench: Bench, name: str, percent: float) -> float:
    """The median over the loads of that name."""
    found = [load.percentile_ms(percent) for load in bench.loads if load.name == name]
    return statistics.median(found) if found else math.nan
