"""The report of a run: the table of figures and the results file."""

import json
import math
import platform
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
from goticket_testing.clients import Json

from goticket_load.bench import Bench
from goticket_load.goals import goals
from goticket_load.plots import plots

ROOT = Path(__file__).parents[3]
POSTGRES_SETTINGS = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "wal_compression",
)


def table(bench: Bench) -> str:
    """Return the figures and the invariants as text."""
    lines = [f"{'figure':<56}{'at least':>10}{'aim':>10}{'measured':>12}"]
    for goal in goals(bench):
        sign = "<" if goal.below and goal.required else ""
        measured = "-" if math.isnan(goal.measured) else f"{goal.measured:,.2f}{goal.unit}"
        lines.append(
            f"{goal.figure:<56}{sign + f'{goal.required:g}':>10}{sign + f'{goal.desired:g}':>10}"
            f"{measured:>12}  {goal.result}"
        )
    lines += ["", "invariants, checked in the database and the event log:"]
    for each in bench.rule_results:
        state = "holds" if not each.violations else f"VIOLATED {each.violations:,} times"
        note = f"  ({each.note})" if each.note else ""
        lines.append(f"  {each.rule:<48}{state}{note}")
    return "\n".join([*lines, *bench.notes, *(f"FAILED {each}" for each in bench.failures)])


def save(bench: Bench, folder: Path) -> Path:
    """Write results.json and the charts to a folder named by the time; return the folder."""
    made = datetime.now(UTC)
    home = folder / made.strftime("%Y-%m-%dT%H%M%SZ")
    home.mkdir(parents=True)
    (home / "results.json").write_text(json.dumps(as_json(bench, made), indent=1) + "\n")
    for name, svg in plots(bench).items():
        (home / f"{name}.svg").write_text(svg)
    return home


def as_json(bench: Bench, made: datetime) -> Json:
    """Return everything that was measured."""
    return {
        "madeAt": made.isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short", "HEAD")
        + ("+" if _git("status", "-s", "-uno") else ""),
        "quick": bench.quick,
        "machine": {
            "cpus": psutil.cpu_count(),
            "memoryGiB": round(psutil.virtual_memory().total / 2**30),
            "python": platform.python_version(),
            "postgres": {name: bench.system.sql(f"SHOW {name}") for name in POSTGRES_SETTINGS},
        },
        "goals": [
            {**asdict(goal), "measured": _or_null(goal.measured), "result": goal.result}
            for goal in goals(bench)
        ],
        "figures": {name: _or_null(value) for name, value in bench.figures.items()},
        "loads": [load.as_json() for load in bench.loads],
        "invariants": [asdict(each) for each in bench.rule_results],
        "notes": bench.notes,
        "failures": bench.failures,
    }


def _or_null(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
