"""One run: what it works with, what it has measured so far, and how it shows progress."""

import itertools
import math
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from goticket_testing.world import Json, Person, event_body

from goticket_load import lonely, wrk
from goticket_load.ledger import Told, Verdict
from goticket_load.machine import Machine
from goticket_load.wrk import Load, Tally

BUYERS = 2_000
TOKEN_SECONDS = 4 * 3600
PLENTY = 10_000_000
CROWD = 1024
"""Connections that are taken for the best load's where it was not measured."""


@dataclass(frozen=True)
class Measured:
    """A load and what came of it."""

    scenario: str
    name: str
    connections: int
    tally: Tally
    cpu: dict[str, float]
    """CPU seconds that each process took meanwhile."""

    @property
    def kind(self) -> str:
        """What was asked for, mostly."""
        kinds = {kind for kind, _ in self.tally.answers}
        return max(kinds, key=self.tally.count, default="other")

    @property
    def status(self) -> int:
        """The answer its rate and latency are about: bookings made, refusals, or reads."""
        counts = {s: n for (kind, s), n in self.tally.answers.items() if kind == self.kind}
        return 201 if counts.get(201) else max(counts, key=lambda s: counts[s], default=0)

    @property
    def rate(self) -> float:
        """Those answers a second."""
        return self.tally.per_second(self.kind, self.status)

    def percentile_ms(self, percent: float) -> float:
        """Latency of those answers; where they do not name their request, wrk's of all."""
        if self.kind == "other":
            return {50.0: self.tally.p50_ms, 99.0: self.tally.p99_ms}.get(percent, math.nan)
        return self.tally.percentile_ms(self.kind, self.status, percent)

    def as_json(self) -> Json:
        """For the results file."""
        measured = {f"p{p:g}": self.percentile_ms(p) for p in (50, 90, 99, 99.9)}
        latencies = {name: round(ms, 2) for name, ms in measured.items() if not math.isnan(ms)}
        return {
            "scenario": self.scenario,
            "name": self.name,
            "connections": self.connections,
            "seconds": round(self.tally.seconds, 2),
            "perSecond": round(self.rate, 1),
            "of": f"{self.kind} {self.status}",
            "latencyMs": latencies,
            "answers": self.tally.statuses(),
            "broken": self.tally.broken,
            "timeouts": self.tally.timeouts,
            "cpuSeconds": {name: round(s, 2) for name, s in self.cpu.items() if s >= 0.05},
        }


@dataclass
class Bench:
    """A run of scenarios on one machine."""

    machine: Machine
    quick: bool
    folder: Path
    """For files that the scripts read."""
    loads: list[Measured] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    scenario: str = ""
    organizer: Person = field(init=False)
    started: float = field(default_factory=time.monotonic)
    _made: int = 0

    def __post_init__(self) -> None:
        expires = {"exp": int(time.time()) + TOKEN_SECONDS}
        self._numbers = itertools.count(1)
        self.organizer = self.machine.people.person("organizer", **expires)
        self.buyers = [self.machine.people.person(**expires) for _ in range(BUYERS)]
        self._tokens = self._file(buyer.token for buyer in self.buyers)

    def say(self, text: str) -> None:
        """Show progress."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def seconds(self, full: float, quick: float) -> float:
        """How long something may take in this run."""
        return quick if self.quick else full

    def events(self, count: int = 1, capacity: int = PLENTY, **changes: object) -> tuple[str, ...]:
        """Put events on sale; returns their ids once booking knows them."""
        made: list[str] = []
        with httpx.Client(base_url=self.machine.base_url, timeout=30) as api:
            for number in range(count):
                body = event_body(capacity=capacity, name=f"On-sale {number}", **changes)
                answer = api.post("/api/v1/events", json=body, headers=self.organizer.headers)
                answer.raise_for_status()
                made.append(answer.json()["id"])
            # The first booking of an event would fetch it from the catalog.
            deadline = time.monotonic() + 60
            while self._known() < len(made) and time.monotonic() < deadline:
                time.sleep(0.2)
            api.get(f"/api/v1/events/{made[0]}/availability")
        self._made += len(made)
        return tuple(made)

    def book(self, event: str, buyer: Person, **body: object) -> httpx.Response:
        """Make one booking and put it on record."""
        answer = httpx.post(
            f"{self.machine.base_url}/api/v1/events/{event}/bookings",
            json=body or {"quantity": 1},
            headers={**buyer.headers, "Idempotency-Key": str(uuid.uuid4())},
            timeout=30,
        )
        self.told.append(Told((event,), int(answer.status_code == 201), 0))
        return answer

    def load(
        self,
        name: str,
        load: Load,
        events: Sequence[str] = (),
        *,
        url: str | None = None,
        kept: bool = True,
    ) -> Measured:
        """Run one load, with the buyers' tokens and these events; keep and show what it gave."""
        [measured] = self.loads_at_once(name, load, events, [url or self.machine.base_url], kept)
        return measured

    def loads_at_once(
        self, name: str, load: Load, events: Sequence[str], urls: Sequence[str], kept: bool = True
    ) -> list[Measured]:
        """Run the same load against several addresses at the same time."""
        settings = {"TOKENS": str(self._tokens), **load.settings}
        if events:
            settings["EVENTS"] = str(self._file(events))
        load = Load(load.script, load.connections, load.seconds, load.rate, load.limit, settings)
        before = self.machine.cpu_seconds()
        running = [wrk.begin(load, url) for url in urls]
        tallies = _finish_all(running, load.seconds)
        after = self.machine.cpu_seconds()
        cpu = {each: after[each] - before.get(each, 0.0) for each in after}
        found = [Measured(self.scenario, name, load.connections, tally, cpu) for tally in tallies]
        for measured in found:
            self._record(measured, tuple(events))
            if kept:
                self.loads.append(measured)
                self._show(measured)
        return found

    def in_turns(
        self, urls: Mapping[str, str], event: str, seconds: float
    ) -> dict[str, Sequence[float]]:
        """The seconds of each booking of one buyer who books on these paths in turns."""
        taken = lonely.in_turns(urls, event, self.buyers[0], seconds)
        self.told.append(Told((event,), sum(map(len, taken.values())), 0))
        return taken

    def warm_up(self, event: str) -> None:
        """Let processes see every token once and open their connections."""
        self.load("warm-up", Load("book", 16, self.seconds(3, 2)), [event], kept=False)

    def named(self, name: str) -> Measured | None:
        """The latest load of that name."""
        return next((each for each in reversed(self.loads) if each.name == name), None)

    def best(self) -> Measured:
        """The hot event's best load; measured now when it was not yet."""
        hot = [each for each in self.loads if each.scenario == "a" and each.status == 201]
        if hot:
            return max(hot, key=lambda each: each.rate)
        event = self.events()
        self.warm_up(event[0])
        return self.load("hot event", Load("book", CROWD, self.seconds(8, 3)), event)

    def figure(self, name: str, value: float, unit: str = "") -> None:
        """Keep and show a figure that is no load."""
        self.figures[name] = value
        self.say(f"    {name:<44} {value:>10,.1f}{unit}")

    def _known(self) -> int:
        return int(self.machine.sql("SELECT count(*) FROM booking.events")) - self._made

    def _record(self, measured: Measured, events: tuple[str, ...]) -> None:
        tally = measured.tally
        made = tally.count("book", 201) + tally.count("hold", 201)
        lost_answers = sum(n for (_, status), n in tally.answers.items() if status >= 500)
        open_ends = measured.connections + tally.timeouts + tally.broken + lost_answers
        if events:
            self.told.append(Told(events, made, open_ends))

    def _show(self, measured: Measured) -> None:
        others = {
            what: n
            for what, n in measured.tally.statuses().items()
            if what != f"{measured.kind} {measured.status}"
        }
        more = f"  also {_counts(others)}" if others else ""
        self.say(
            f"    {measured.name:<44} {measured.rate:>10,.1f}/s"
            f"  p50 {measured.percentile_ms(50):8.1f} ms  p99 {measured.percentile_ms(99):8.1f} ms"
            f"{more}"
        )

    def _file(self, lines: Any) -> Path:
        path = self.folder / f"list-{next(self._numbers)}"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,}x {what}" for what, n in counts.items())


def _finish_all(running: Sequence[subprocess.Popen[str]], seconds: float) -> list[Tally]:
    try:
        return [wrk.finish(each, seconds) for each in running]
    finally:
        for each in running:
            if each.poll() is None:
                each.kill()
                each.wait()
