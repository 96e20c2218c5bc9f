"""The whole system under load and faults keeps every promise it has made.

Part of `make test` is a run of half a minute that is planned the same every time;
`make chaos` takes three minutes and any seed.
"""

import os
import random
from collections.abc import Callable

import pytest
from goticket_testing.chaos.run import Report, run_chaos
from goticket_testing.chaos.stack import ChaosStack

SECONDS = float(os.environ.get("CHAOS_SECONDS") or 30)
SEED = os.environ.get("CHAOS_SEED") or "12638"
"""Unless told otherwise: kill -9 of all three servers, of relay, worker and both bookings."""


def say(line: str) -> None:
    """Print at once: who watches a long run wants to see it."""
    print(line, flush=True)  # noqa: T201 - it is what `make chaos` shows


@pytest.mark.chaos
@pytest.mark.timeout(SECONDS + 400)
async def test_no_promise_is_broken_whatever_dies(
    chaos_stack: ChaosStack, keep_report: Callable[[Report], None]
) -> None:
    seed = random.randrange(1_000_000) if SEED == "any" else int(SEED)
    report = Report(seed, SECONDS)
    say(f"\nchaos: seed {seed}, {SECONDS:.0f} seconds")
    try:
        await run_chaos(chaos_stack, report, say)
    finally:
        keep_report(report)
    assert report.violations == []
