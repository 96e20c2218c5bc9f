"""Runs wrk with the scripts of this package and parses their results."""

import json
import math
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SCRIPTS = Path(__file__).parent / "scripts"
GROWTH = 1.03
"""Ratio of the widths of consecutive histogram buckets, as in results.lua."""
SLOT_SECONDS = 0.1
"""Length of a slot of the timeline, as in results.lua."""
RESPONSE_SECONDS = 15
"""After this time without a response wrk counts a request as timed out."""
MARK = "RESULTS "


class WrkFailed(Exception):
    """wrk did not run to its end."""


class WrkMissing(Exception):
    """wrk is not installed; on Debian and Ubuntu: sudo apt-get install wrk."""


@dataclass(frozen=True)
class Load:
    """A load for wrk. A `rate` (requests/s) or `limit` (requests) of 0 means no limit."""

    script: str
    connections: int
    seconds: float
    rate: float = 0
    limit: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadResult:
    """Counts, latencies and a timeline of responses by (kind of request, HTTP status)."""

    seconds: float
    requests: int
    connection_errors: int
    timeouts: int
    p50_ms: float
    """Over all responses, as wrk measures it."""
    p99_ms: float
    responses: dict[tuple[str, int], int]
    latencies: dict[tuple[str, int], dict[int, int]]
    timeline: dict[tuple[str, int], dict[int, int]]
    invalid: dict[str, int]
    """Number of responses that violate the contract, by reason."""

    def count(self, kind: str | None = None, status: int | None = None) -> int:
        """Return the number of responses of a kind and a status; None means any."""
        return sum(
            n
            for (its_kind, its_status), n in self.responses.items()
            if kind in {None, its_kind} and status in {None, its_status}
        )

    def per_second(self, kind: str | None = None, status: int | None = None) -> float:
        """Return the responses/s of a kind and a status."""
        return self.count(kind, status) / self.seconds if self.seconds else 0.0

    def steady_per_second(self, kind: str, status: int, skip_seconds: float = 2) -> float:
        """Return the responses/s without the first seconds, in which thousands of connections open.

        NaN if the load was not longer than `skip_seconds`.
        """
        first, end = round(skip_seconds / SLOT_SECONDS), math.floor(self.seconds / SLOT_SECONDS)
        slots = self.timeline.get((kind, status), {})
        counted = sum(n for slot, n in slots.items() if first <= slot < end)
        return counted / ((end - first) * SLOT_SECONDS) if end > first else math.nan

    def histogram(self, kind: str, status: int) -> list[tuple[float, int]]:
        """Return (upper bound in milliseconds, count) of each latency bucket in order."""
        buckets = self.latencies.get((kind, status), {})
        return [(GROWTH ** (index + 1) / 1000, n) for index, n in sorted(buckets.items())]

    def percentile_ms(self, kind: str, status: int, percent: float) -> float:
        """Return a percentile of these latencies; NaN without responses."""
        buckets = self.histogram(kind, status)
        wanted = sum(n for _, n in buckets) * percent / 100
        seen = 0
        for bound, n in buckets:
            seen += n
            if seen >= wanted:
                return bound
        return math.nan

    def rates(self, kind: str, status: int) -> list[tuple[float, float]]:
        """Return (seconds since the start, responses/s) for each slot of the timeline."""
        slots = self.timeline.get((kind, status), {})
        last = max((slot for each in self.timeline.values() for slot in each), default=-1)
        return [
            (slot * SLOT_SECONDS, slots.get(slot, 0) / SLOT_SECONDS) for slot in range(last + 1)
        ]

    def counts_by_name(self) -> dict[str, int]:
        """Return the counts by "kind status"."""
        return {f"{kind} {status}": n for (kind, status), n in sorted(self.responses.items())}


def parse(output: str) -> LoadResult:
    """Parse the line that results.lua prints at the end of wrk's output.

    Raises:
        WrkFailed: the output has no such line.
    """
    marked = [line for line in output.splitlines() if line.startswith(MARK)]
    if not marked:
        raise WrkFailed(output[-2000:])
    found = json.loads(marked[-1].removeprefix(MARK))
    return LoadResult(
        seconds=found["seconds"],
        requests=found["requests"],
        connection_errors=found["connection_errors"],
        timeouts=found["timeouts"],
        p50_ms=found["p50"],
        p99_ms=found["p99"],
        responses={_key(name): n for name, n in found["responses"].items()},
        latencies=_nested(found["latencies"]),
        timeline=_nested(found["timeline"]),
        invalid=found["invalid"],
    )


def _key(text: str) -> tuple[str, int]:
    kind, status = text.split(" ")[:2]
    return kind, int(status)


def _nested(counts: Mapping[str, int]) -> dict[tuple[str, int], dict[int, int]]:
    nested: dict[tuple[str, int], dict[int, int]] = {}
    for name, n in counts.items():
        nested.setdefault(_key(name), {})[int(name.rpartition(" ")[2])] = n
    return nested


def program() -> str:
    """Return the path of wrk. Raises `WrkMissing`."""
    found = shutil.which("wrk")
    if found is None:
        raise WrkMissing(WrkMissing.__doc__)
    return found


def begin(load: Load, base_url: str) -> subprocess.Popen[str]:
    """Start wrk; `finish` waits for it."""
    settings = {
        "SCRIPTS": str(SCRIPTS),
        # Makes request ids unique; they are idempotency keys too.
        "NONCE": secrets.token_hex(6),
        "RATE": f"{load.rate:.3f}",
        "LIMIT": str(load.limit),
        **load.settings,
    }
    return subprocess.Popen(
        [
            program(),
            *("--threads", "1", "--connections", str(load.connections)),
            *("--duration", f"{math.ceil(load.seconds)}s", "--timeout", f"{RESPONSE_SECONDS}s"),
            *("--script", str(SCRIPTS / f"{load.script}.lua"), base_url),
        ],
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            **{f"LOAD_{name}": value for name, value in settings.items()},
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(running: subprocess.Popen[str], seconds: float) -> LoadResult:
    """Wait for the end of wrk and parse its results. Raises `WrkFailed`."""
    try:
        output, _ = running.communicate(timeout=seconds + 30)
    except subprocess.TimeoutExpired as error:
        running.kill()
        running.communicate()
        raise WrkFailed("wrk did not end") from error
    if running.returncode != 0:
        raise WrkFailed(output[-2000:])
    return parse(output)
