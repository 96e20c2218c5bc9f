"""Every invariant holds under load and faults.

`make test` runs half a minute with a fixed plan. `make chaos` runs three minutes with any seed.
"""

import os
import random
from collections.abc import Callable

import pytest
from goticket_testing.chaos.run import Report, run_chaos
from goticket_testing.chaos.stack import ChaosStack

SECONDS = float(os.environ.get("CHAOS_SECONDS") or 30)
SEED = os.environ.get("CHAOS_SEED") or "51963"
"""The default kills all three servers, the booking relay, the notification worker and both
booking servers with kill -9, and cuts notification off from booking for four seconds."""


def log(line: str) -> None:
    """Print a line without buffering, to show the progress of a long run."""
    print(line, flush=True)  # noqa: T201 - it is what `make chaos` shows


@pytest.mark.chaos
@pytest.mark.timeout(SECONDS + 400)
async def test_every_invariant_holds_under_load_and_faults(
    chaos_stack: ChaosStack, keep_report: Callable[[Report], None]
) -> None:
    seed = random.randrange(1_000_000) if SEED == "any" else int(SEED)
    report = Report(seed, SECONDS)
    log(f"\nchaos: seed {seed}, {SECONDS:.0f} seconds")
    try:
        await run_chaos(chaos_stack, report, log)
    finally:
        keep_report(report)
    assert report.violations == []
