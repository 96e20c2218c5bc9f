"""The whole system under load and faults keeps every promise it has made.

`make chaos` runs this for longer and with a new seed each time.
"""

import os
import random
from collections.abc import Callable

import pytest
from goticket_testing.chaos.run import Report, run_chaos
from goticket_testing.chaos.stack import ChaosStack

SECONDS = float(os.environ.get("CHAOS_SECONDS") or 30)
# Part of `make test` is the same run every time; "any" asks for a new one.
SEED = os.environ.get("CHAOS_SEED") or "8"


@pytest.mark.chaos
@pytest.mark.timeout(SECONDS + 300)
async def test_no_promise_is_broken_whatever_dies(
    chaos_stack: ChaosStack, keep_report: Callable[[Report], None]
) -> None:
    seed = random.randrange(1_000_000) if SEED == "any" else int(SEED)
    print(f"\nchaos: seed {seed}, {SECONDS:.0f} seconds", flush=True)  # noqa: T201
    report = await run_chaos(chaos_stack, seed, SECONDS, lambda line: print(line, flush=True))  # noqa: T201
    keep_report(report)
    assert report.violations == []
