"""Run the scenarios: `make bench`, `make bench QUICK=1`, `make bench S=a,b`."""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
from goticket_local.process import StartFailed

from goticket_load import report, wrk
from goticket_load.bench import Bench
from goticket_load.ledger import reckon
from goticket_load.machine import FOLLOWERS, Machine, machine
from goticket_load.scenarios import SCENARIOS, Scenario

RESULTS = Path(__file__).parents[1] / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status: 1 when an invariant is broken or a scenario failed."""
    letters = "".join(each.letter for each in SCENARIOS)
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about two minutes instead of ten")
    parser.add_argument("--scenarios", default="", help=f"letters of {letters}, comma-separated")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results")
    chosen = parser.parse_args(arguments)
    wanted = {letter.strip() for letter in chosen.scenarios.split(",") if letter.strip()}
    if unknown := wanted - set(letters):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {letters}")
    scenarios = [each for each in SCENARIOS if not wanted or each.letter in wanted]
    try:
        wrk.program()
    except wrk.NoWrk as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    _allow_crowds()
    with machine() as running, tempfile.TemporaryDirectory() as lists:
        bench = run(running, scenarios, quick=chosen.quick, lists=Path(lists))
        home = report.save(bench, chosen.results)
    bench.say(f"\n{report.table(bench)}\n\nresults and plots: {os.path.relpath(home)}")
    return int(bool(bench.failed) or any(verdict.violations for verdict in bench.verdicts))


def _allow_crowds() -> None:
    """Let this process and those it starts open as many connections as the system permits."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run(running: Machine, scenarios: Sequence[Scenario], *, quick: bool, lists: Path) -> Bench:
    """Run scenarios one after the other, then check the invariants."""
    bench = Bench(running, quick, lists)
    total = sum(each.quick_seconds if quick else each.seconds for each in scenarios)
    bench.say(f"{len(scenarios)} scenarios, about {_clock(total)}")
    for number, scenario in enumerate(scenarios, 1):
        gone = time.monotonic() - bench.started
        bench.say(f"[{number}/{len(scenarios)}] {_clock(gone)}  {scenario.title}")
        bench.scenario = scenario.letter
        try:
            scenario.run(bench)
        except (wrk.WrkFailed, httpx.HTTPError, StartFailed, subprocess.SubprocessError) as error:
            # What the others measured is worth having.
            bench.failed.append(f"{scenario.title}: {type(error).__name__} {error}")
            bench.say(f"    FAILED {bench.failed[-1]}")
            running.start(*(name for name in running.services if name not in FOLLOWERS))
    bench.say("    checking the invariants")
    bench.verdicts = reckon(running, bench.told)
    return bench


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


if __name__ == "__main__":
    sys.exit(main())
