"""Run the scenarios: `make bench`, `make bench QUICK=1`, `make bench S=reads,overload`."""

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
from goticket_load.reconciliation import reconcile
from goticket_load.scenarios import SCENARIOS, Scenario
from goticket_load.system_under_test import ASYNC_PROCESSES, SystemUnderTest, running_system

RESULTS = Path(__file__).parents[1] / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status: 1 if an invariant is violated or a scenario failed."""
    names = [each.name for each in SCENARIOS]
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three minutes instead of fifteen")
    parser.add_argument("--scenarios", default="", help=f"of {', '.join(names)}")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results")
    chosen = parser.parse_args(arguments)
    wanted = {name.strip() for name in chosen.scenarios.split(",") if name.strip()}
    if unknown := wanted - set(names):
        parser.error(
            f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(names)}"
        )
    scenarios = [each for each in SCENARIOS if not wanted or each.name in wanted]
    try:
        wrk.program()
    except wrk.WrkMissing as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    _raise_file_limit()
    with running_system() as system, tempfile.TemporaryDirectory() as lists:
        bench = run(system, scenarios, quick=chosen.quick, lists=Path(lists))
        home = report.save(bench, chosen.results)
    bench.print_line(f"\n{report.table(bench)}\n\nresults and charts: {os.path.relpath(home)}")
    violated = any(each.violations for each in bench.rule_results)
    return int(bool(bench.failures) or violated)


def _raise_file_limit() -> None:
    """Allow this process and its children as many connections as the system permits."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run(
    system: SystemUnderTest, scenarios: Sequence[Scenario], *, quick: bool, lists: Path
) -> Bench:
    """Run the scenarios one after the other, then check the invariants."""
    bench = Bench(system, quick, lists)
    total = sum(each.quick_seconds if quick else each.seconds for each in scenarios)
    bench.print_line(f"{len(scenarios)} scenarios, about {_clock(total)}")
    for number, scenario in enumerate(scenarios, 1):
        elapsed = _clock(time.monotonic() - bench.started)
        bench.print_line(f"[{number}/{len(scenarios)}] {elapsed}  {scenario.title}")
        bench.scenario = scenario.name
        try:
            scenario.run(bench)
        except (wrk.WrkFailed, httpx.HTTPError, StartFailed, subprocess.SubprocessError) as error:
            # The results of the other scenarios are still useful.
            bench.failures.append(f"{scenario.title}: {type(error).__name__} {error}")
            bench.print_line(f"    FAILED {bench.failures[-1]}")
            system.start(*(name for name in system.process_configs if name not in ASYNC_PROCESSES))
    bench.print_line("    checking the invariants")
    bench.rule_results = reconcile(system, bench.client_results)
    return bench


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


if __name__ == "__main__":
    sys.exit(main())
