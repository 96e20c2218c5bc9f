"""Running wrk with the scripts beside this file, and reading what they counted."""

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
"""As in tally.lua: a bucket of the histogram is this much wider than the one before."""
SLOT_SECONDS = 0.1
"""As in tally.lua: how long a slot of the timeline lasts."""
ANSWER_SECONDS = 15
"""After this long without an answer wrk counts a request as timed out."""
MARK = "TALLY "


class WrkFailed(Exception):
    """wrk did not run to its end."""


class NoWrk(Exception):
    """wrk is not installed; on Debian and Ubuntu: sudo apt-get install wrk."""


@dataclass(frozen=True)
class Load:
    """What wrk is to do. `rate` (requests/s) and `limit` (requests) of 0 mean no bound."""

    script: str
    connections: int
    seconds: float
    rate: float = 0
    limit: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tally:
    """What came back: counts, latencies and a timeline by (kind of request, HTTP status)."""

    seconds: float
    requests: int
    broken: int
    timeouts: int
    p50_ms: float
    """Over all answers, as wrk measures it."""
    p99_ms: float
    answers: dict[tuple[str, int], int]
    latencies: dict[tuple[str, int], dict[int, int]]
    timeline: dict[tuple[str, int], dict[int, int]]

    def count(self, kind: str | None = None, status: int | None = None) -> int:
        """How many answers there were of a kind, with a status; None means any."""
        return sum(
            n
            for (its_kind, its_status), n in self.answers.items()
            if kind in {None, its_kind} and status in {None, its_status}
        )

    def per_second(self, kind: str | None = None, status: int | None = None) -> float:
        """Answers a second."""
        return self.count(kind, status) / self.seconds if self.seconds else 0.0

    def histogram(self, kind: str, status: int) -> list[tuple[float, int]]:
        """(upper bound in milliseconds, count) of each latency bucket, shortest first."""
        buckets = self.latencies.get((kind, status), {})
        return [(GROWTH ** (index + 1) / 1000, n) for index, n in sorted(buckets.items())]

    def percentile_ms(self, kind: str, status: int, percent: float) -> float:
        """The latency that `percent` of these answers took at most; NaN without answers."""
        buckets = self.histogram(kind, status)
        wanted = sum(n for _, n in buckets) * percent / 100
        seen = 0
        for bound, n in buckets:
            seen += n
            if seen >= wanted:
                return bound
        return math.nan

    def rates(self, kind: str, status: int) -> list[tuple[float, float]]:
        """(seconds since the start, answers a second) through the run."""
        slots = self.timeline.get((kind, status), {})
        last = max((slot for each in self.timeline.values() for slot in each), default=-1)
        return [
            (slot * SLOT_SECONDS, slots.get(slot, 0) / SLOT_SECONDS) for slot in range(last + 1)
        ]

    def statuses(self) -> dict[str, int]:
        """Counts as "kind status", for people."""
        return {f"{kind} {status}": n for (kind, status), n in sorted(self.answers.items())}


def parse(output: str) -> Tally:
    """Read the line that tally.lua prints at the end of wrk's output.

    Raises:
        WrkFailed: there is none.
    """
    marked = [line for line in output.splitlines() if line.startswith(MARK)]
    if not marked:
        raise WrkFailed(output[-2000:])
    found = json.loads(marked[-1].removeprefix(MARK))
    return Tally(
        seconds=found["seconds"],
        requests=found["requests"],
        broken=found["broken"],
        timeouts=found["timeouts"],
        p50_ms=found["p50"],
        p99_ms=found["p99"],
        answers={_key(name): n for name, n in found["answers"].items()},
        latencies=_nested(found["latencies"]),
        timeline=_nested(found["timeline"]),
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
    """Where wrk is. Raises `NoWrk`."""
    found = shutil.which("wrk")
    if found is None:
        raise NoWrk(NoWrk.__doc__)
    return found


def begin(load: Load, base_url: str) -> subprocess.Popen[str]:
    """Start wrk; `finish` waits for it."""
    settings = {
        "SCRIPTS": str(SCRIPTS),
        # Makes request ids, which are idempotency keys too, new in every run.
        "NONCE": secrets.token_hex(6),
        "RATE": f"{load.rate:.3f}",
        "LIMIT": str(load.limit),
        **load.settings,
    }
    return subprocess.Popen(
        [
            program(),
            *("--threads", "1", "--connections", str(load.connections)),
            *("--duration", f"{math.ceil(load.seconds)}s", "--timeout", f"{ANSWER_SECONDS}s"),
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


def finish(running: subprocess.Popen[str], seconds: float) -> Tally:
    """Wait for wrk's end and read its tally. Raises `WrkFailed`."""
    try:
        output, _ = running.communicate(timeout=seconds + 30)
    except subprocess.TimeoutExpired as error:
        running.kill()
        running.communicate()
        raise WrkFailed("wrk did not end") from error
    if running.returncode != 0:
        raise WrkFailed(output[-2000:])
    return parse(output)


def drive(load: Load, base_url: str) -> Tally:
    """Run a load to its end. Raises `WrkFailed`."""
    return finish(begin(load, base_url), load.seconds)
