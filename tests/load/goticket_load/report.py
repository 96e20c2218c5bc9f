"""What a run says in the end: the table of ratios, the results file, the plots."""

import json
import math
import platform
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
from goticket_testing.world import Json

from goticket_load.bench import Bench
from goticket_load.plot import Axis, Series, bar_chart, line_chart

ROOT = Path(__file__).parents[3]
PGBENCH = "pgbench, 64 clients"


OVERLOADS = ("slow database, overload", "overload", "overload, nobody waits")


@dataclass(frozen=True)
class Goal:
    """A line of the table. `least` and `aim` are lower bounds, upper ones where `below`."""

    figure: str
    least: float
    aim: float
    measured: float
    below: bool = False
    unit: str = ""

    @property
    def reached(self) -> str:
        """What to say about it."""
        if math.isnan(self.measured):
            return "not measured"
        if self._holds(self.aim):
            return "aim reached"
        return "reached" if self._holds(self.least) else "MISSED"

    def _holds(self, bound: float) -> bool:
        return self.measured <= bound if self.below else self.measured >= bound


def goals(bench: Bench) -> list[Goal]:
    """Every line of the table; NaN where its scenario did not run."""
    rate = _rate(bench)
    hot = max((each.rate for each in bench.loads if each.scenario == "a"), default=math.nan)
    unary = max((each.rate for each in bench.loads if each.scenario == "u"), default=math.nan)
    broken = sum(verdict.violations for verdict in bench.verdicts)
    figure = bench.figures.get
    return [
        Goal(
            "hot event / pgbench, one transaction a booking",
            4,
            8,
            hot / (figure(PGBENCH) or math.nan),
        ),
        Goal("hot event / unary path", 2.5, 5, hot / unary),
        Goal(
            "p99 at half of the best rate",
            100,
            40,
            _percentile(bench, "hot event, half of the best rate", 99),
            below=True,
            unit=" ms",
        ),
        Goal(
            "a lonely booking's p50 / the unary path's",
            1.1,
            0.9,
            figure("lonely / unary", math.nan),
            below=True,
        ),
        Goal(
            "sold-out refusals / cheapest route",
            0.8,
            0.95,
            rate("sold out, refusals") / rate("cheapest route"),
        ),
        Goal(
            "sold-out refusals from memory / cheapest route",
            0.8,
            0.95,
            rate("sold out, refusals from memory") / rate("cheapest route"),
        ),
        Goal("many events / one hot event", 0.5, 1.0, figure("many events / one", math.nan)),
        Goal("with history / empty", 0.85, 0.97, figure("history / empty", math.nan)),
        Goal(
            "accepted at five times the rate / its best",
            0.85,
            1.0,
            figure("slow database, overload, accepted / best", math.nan),
        ),
        Goal(
            "accepted of five times the buyers / loads beside",
            0.85,
            1.0,
            figure("overload, accepted / best", math.nan),
        ),
        Goal(
            "the same when nobody waits / loads beside",
            0.85,
            1.0,
            figure("overload, nobody waits, accepted / best", math.nan),
        ),
        Goal(
            "p99 of those accepted, in all three",
            5_000,
            1_000,
            max(_percentile(bench, name, 99) for name in OVERLOADS),
            below=True,
            unit=" ms",
        ),
        Goal("relayed events a second", 3000, 3000, figure("relayed", math.nan)),
        Goal("mails with PDF a second", 150, 150, figure("mails with PDF", math.nan)),
        Goal("oversold, lost or doubled", 0, 0, broken if bench.verdicts else math.nan, below=True),
    ]


def _rate(bench: Bench) -> Callable[[str], float]:
    def rate(name: str) -> float:
        found = bench.named(name)
        return found.rate if found and found.rate else math.nan

    return rate


def _percentile(bench: Bench, name: str, percent: float) -> float:
    """The median over the loads of that name."""
    found = [load.percentile_ms(percent) for load in bench.loads if load.name == name]
    return statistics.median(found) if found else math.nan


def table(bench: Bench) -> str:
    """The ratios and the invariants, as text."""
    lines = [f"{'figure':<50}{'at least':>10}{'aim for':>10}{'measured':>12}"]
    for goal in goals(bench):
        sign = "<" if goal.below and goal.least else ""
        measured = "-" if math.isnan(goal.measured) else f"{goal.measured:,.2f}{goal.unit}"
        lines.append(
            f"{goal.figure:<50}{sign + f'{goal.least:g}':>10}{sign + f'{goal.aim:g}':>10}"
            f"{measured:>12}  {goal.reached}"
        )
    lines += ["", "invariants, checked in the database and the event log:"]
    for verdict in bench.verdicts:
        state = "holds" if not verdict.violations else f"BROKEN {verdict.violations:,} times"
        note = f"  ({verdict.note})" if verdict.note else ""
        lines.append(f"  {verdict.rule:<48}{state}{note}")
    return "\n".join([*lines, *bench.notes, *(f"FAILED {each}" for each in bench.failed)])


def save(bench: Bench, folder: Path) -> Path:
    """Write results.json and the plots into a folder named by the time; returns it."""
    made = datetime.now(UTC)
    home = folder / made.strftime("%Y-%m-%dT%H%M%SZ")
    home.mkdir(parents=True)
    (home / "results.json").write_text(json.dumps(as_json(bench, made), indent=1) + "\n")
    for name, svg in plots(bench).items():
        (home / f"{name}.svg").write_text(svg)
    return home


def as_json(bench: Bench, made: datetime) -> Json:
    """Everything measured."""
    settings = ("server_version", "fsync", "synchronous_commit", "full_page_writes")
    return {
        "madeAt": made.isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short", "HEAD")
        + ("+" if _git("status", "-s", "-uno") else ""),
        "quick": bench.quick,
        "machine": {
            "cpus": psutil.cpu_count(),
            "memoryGiB": round(psutil.virtual_memory().total / 2**30),
            "python": platform.python_version(),
            "postgres": {name: bench.machine.sql(f"SHOW {name}") for name in settings},
        },
        "goals": [
            {**asdict(goal), "measured": _or_null(goal.measured), "reached": goal.reached}
            for goal in goals(bench)
        ],
        "figures": {name: round(value, 3) for name, value in bench.figures.items()},
        "loads": [load.as_json() for load in bench.loads],
        "invariants": [asdict(verdict) for verdict in bench.verdicts],
        "notes": bench.notes,
        "failed": bench.failed,
    }


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def plots(bench: Bench) -> dict[str, str]:
    """SVG documents by name, of what was measured."""
    drawn: dict[str, str] = {}
    hot = [each for each in bench.loads if each.scenario == "a"]
    unary = [each for each in bench.loads if each.scenario == "u"]
    clients = Axis("connections", logarithmic=True)
    if hot:
        series = [
            Series(name, [(each.connections, each.rate) for each in loads])
            for name, loads in (("one hot event", hot), ("unary path", unary))
            if loads
        ]
        if PGBENCH in bench.figures:
            level = bench.figures[PGBENCH]
            ends = [(each.connections, level) for each in (hot[0], hot[-1])]
            series.append(Series("pgbench, 64 clients", ends, dashed=True))
        drawn["throughput"] = line_chart(
            "Bookings a second by concurrency", clients, Axis("bookings/s"), series
        )
        drawn["latency"] = line_chart(
            "Latency of a booking by concurrency",
            clients,
            Axis("milliseconds", logarithmic=True),
            [
                Series(
                    f"{name}, p{percent}",
                    [(each.connections, each.percentile_ms(percent)) for each in loads],
                )
                for name, loads in (("hot", hot), ("unary", unary))
                for percent in (50, 99)
                if loads
            ],
        )
    half = bench.named("hot event, half of the best rate")
    if half:
        drawn["histogram"] = _histogram(half.tally.histogram(half.kind, half.status))
    sold = next((each for each in bench.loads if each.name.startswith("sell-out")), None)
    if sold:
        drawn["sell-out"] = line_chart(
            "A sell-out, second by second",
            Axis("seconds"),
            Axis("answers/s"),
            [
                Series("booked (201)", sold.tally.rates("book", 201)),
                Series("sold out (409)", sold.tally.rates("book", 409)),
            ],
        )
    return drawn


def _histogram(buckets: list[tuple[float, int]]) -> str:
    total = sum(n for _, n in buckets) or 1
    bars = [(bound / 1.03, bound, 100 * n / total) for bound, n in buckets]
    title = "Latency of a booking at half of the best rate"
    return bar_chart(title, Axis("milliseconds", logarithmic=True), Axis("% of bookings"), bars)
