"""The state of one benchmark run: its system, its measurements, and its output."""

import itertools
import math
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from goticket_testing.clients import ApiUser, Json, event_body

from goticket_load import single_client, wrk
from goticket_load.reconciliation import ClientResult, RuleResult
from goticket_load.system_under_test import SystemUnderTest
from goticket_load.wrk import Load, LoadResult

BUYERS = 2_000
TOKEN_SECONDS = 4 * 3600
LARGE_CAPACITY = 10_000_000
BEST_CONNECTIONS = 1024
"""Connections of the best load if it was not measured."""


@dataclass(frozen=True)
class Measurement:
    """A load and its result."""

    scenario: str
    name: str
    connections: int
    result: LoadResult
    cpu: dict[str, float]
    """CPU seconds of each process during the load."""

    @property
    def kind(self) -> str:
        """The most frequent kind of request."""
        kinds = {kind for kind, _ in self.result.responses}
        return max(kinds, key=self.result.count, default="other")

    @property
    def status(self) -> int:
        """The status that rate and latency are about: 201 if there is one, or the most frequent."""
        counts = {s: n for (kind, s), n in self.result.responses.items() if kind == self.kind}
        return 201 if counts.get(201) else max(counts, key=lambda s: counts[s], default=0)

    @property
    def rate(self) -> float:
        """Responses/s of this kind and status."""
        return self.result.per_second(self.kind, self.status)

    @property
    def steady_rate(self) -> float:
        """Responses/s of this kind and status without the first two seconds."""
        return self.result.steady_per_second(self.kind, self.status)

    def percentile_ms(self, percent: float) -> float:
        """Latency of this kind and status; that of all responses if they have no request id."""
        if self.kind == "other":
            return {50.0: self.result.p50_ms, 99.0: self.result.p99_ms}.get(percent, math.nan)
        return self.result.percentile_ms(self.kind, self.status, percent)

    def as_json(self) -> Json:
        """Return the entry of the results file."""
        measured = {f"p{p:g}": self.percentile_ms(p) for p in (50, 90, 99, 99.9)}
        latencies = {name: round(ms, 2) for name, ms in measured.items() if not math.isnan(ms)}
        return {
            "scenario": self.scenario,
            "name": self.name,
            "connections": self.connections,
            "seconds": round(self.result.seconds, 2),
            "perSecond": round(self.rate, 1),
            "of": f"{self.kind} {self.status}",
            "latencyMs": latencies,
            "responses": self.result.counts_by_name(),
            "invalid": self.result.invalid,
            "connectionErrors": self.result.connection_errors,
            "timeouts": self.result.timeouts,
            "cpuSeconds": {name: round(s, 2) for name, s in self.cpu.items() if s >= 0.05},
        }


@dataclass(frozen=True)
class Target:
    """A load on one gateway, for a measurement with several loads at once."""

    name: str
    load: Load
    events: tuple[str, ...] = ()
    url: str | None = None


@dataclass
class Bench:
    """A run of scenarios on one system."""

    system: SystemUnderTest
    quick: bool
    folder: Path
    """For the files that the scripts read."""
    loads: list[Measurement] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    client_results: list[ClientResult] = field(default_factory=list)
    rule_results: list[RuleResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    scenario: str = ""
    organizer: ApiUser = field(init=False)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        expires = {"exp": int(time.time()) + TOKEN_SECONDS}
        self._numbers = itertools.count(1)
        self.organizer = self.system.users.create("organizer", **expires)
        self.buyers = [self.system.users.create(**expires) for _ in range(BUYERS)]
        self._tokens = self.write_list(buyer.token for buyer in self.buyers)

    def print_line(self, text: str) -> None:
        """Show progress."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def seconds(self, full: float, quick: float) -> float:
        """Choose a duration for this run."""
        return quick if self.quick else full

    def create_events(
        self, count: int = 1, capacity: int = LARGE_CAPACITY, **changes: object
    ) -> tuple[str, ...]:
        """Create published events; return their ids when booking has them."""
        created: list[str] = []
        with httpx.Client(base_url=self.system.base_url, timeout=30) as api:
            for number in range(count):
                body = event_body(capacity=capacity, name=f"On-sale {number}", **changes)
                response = api.post("/api/v1/events", json=body, headers=self.organizer.headers)
                response.raise_for_status()
                created.append(response.json()["id"])
            # Otherwise the first booking of an event would fetch it from the catalog.
            deadline = time.monotonic() + 60
            while not self._booking_has(created) and time.monotonic() < deadline:
                time.sleep(0.2)
            api.get(f"/api/v1/events/{created[0]}/availability")
        return tuple(created)

    def create_booking(self, event: str, buyer: ApiUser, **body: object) -> httpx.Response:
        """Create one booking and count it for the reconciliation."""
        response = httpx.post(
            f"{self.system.base_url}/api/v1/events/{event}/bookings",
            json=body or {"quantity": 1},
            headers={**buyer.headers, "Idempotency-Key": str(uuid.uuid4())},
            timeout=30,
        )
        self.client_results.append(ClientResult((event,), int(response.status_code == 201), 0))
        return response

    def run_load(
        self,
        name: str,
        load: Load,
        events: Sequence[str] = (),
        *,
        url: str | None = None,
        keep: bool = True,
    ) -> Measurement:
        """Run one load with the buyers' tokens and these events; record and show its result."""
        [measured] = self.run_loads([Target(name, load, tuple(events), url)], keep=keep)
        return measured

    def run_loads(self, targets: Sequence[Target], *, keep: bool = True) -> list[Measurement]:
        """Run several loads at the same time; record and show their results."""
        loads = [self._with_files(target) for target in targets]
        before = self.system.cpu_seconds()
        running = [
            wrk.begin(load, target.url or self.system.base_url)
            for load, target in zip(loads, targets, strict=True)
        ]
        results = _finish_all(running, max(load.seconds for load in loads))
        after = self.system.cpu_seconds()
        cpu = {each: after[each] - before.get(each, 0.0) for each in after}
        found = [
            Measurement(self.scenario, target.name, target.load.connections, result, cpu)
            for target, result in zip(targets, results, strict=True)
        ]
        for measured, target in zip(found, targets, strict=True):
            self._count_bookings(measured, target.events)
            if keep:
                self.loads.append(measured)
                self._show(measured)
        return found

    def book_alternately(
        self, urls: Mapping[str, str], event: str, seconds: float
    ) -> dict[str, Sequence[float]]:
        """Return the durations of one client's bookings through several paths in turn."""
        durations = single_client.book_alternately(urls, event, self.buyers[0], seconds)
        booked = sum(map(len, durations.values()))
        self.client_results.append(ClientResult((event,), booked, 0))
        return durations

    def warm_up(self, event: str, url: str | None = None) -> None:
        """Let the processes verify every token once and open their connections."""
        load = Load("book", 16, self.seconds(3, 1))
        self.run_load("warm-up", load, [event], url=url, keep=False)

    def latest(self, name: str) -> Measurement | None:
        """Return the latest load of that name."""
        return next((each for each in reversed(self.loads) if each.name == name), None)

    def best_load(self) -> Measurement:
        """Return the best load of the hot event; measure one if there is none."""
        hot = [each for each in self.loads if each.scenario == "hot-event" and each.status == 201]
        if hot:
            return max(hot, key=lambda each: each.rate)
        event = self.create_events()
        self.warm_up(event[0])
        return self.run_load("hot event", Load("book", BEST_CONNECTIONS, self.seconds(8, 2)), event)

    def record_figure(self, name: str, value: float, unit: str = "") -> None:
        """Record and show a figure that is not a load."""
        self.figures[name] = value
        self.print_line(f"    {name:<44} {value:>10,.1f}{unit}")

    def write_list(self, lines: Iterable[str]) -> Path:
        """Write a list for a script, one entry per line."""
        path = self.folder / f"list-{next(self._numbers)}"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def _booking_has(self, events: Sequence[str]) -> bool:
        wanted = ", ".join(f"'{event}'" for event in events)
        count = self.system.sql(
            f"SELECT count(*) FROM booking.events WHERE event_id IN ({wanted})"  # noqa: S608 - ids
        )
        return int(count) == len(events)

    def _with_files(self, target: Target) -> Load:
        settings = {"TOKENS": str(self._tokens), **target.load.settings}
        if target.events:
            settings["EVENTS"] = str(self.write_list(target.events))
        return replace(target.load, settings=settings)

    def _count_bookings(self, measured: Measurement, events: tuple[str, ...]) -> None:
        result = measured.result
        acknowledged = result.count("book", 201) + result.count("hold", 201)
        server_errors = sum(n for (_, status), n in result.responses.items() if status >= 500)
        unknown = measured.connections + result.timeouts + result.connection_errors + server_errors
        if events:
            self.client_results.append(ClientResult(events, acknowledged, unknown))

    def _show(self, measured: Measurement) -> None:
        others = {
            what: n
            for what, n in measured.result.counts_by_name().items()
            if what != f"{measured.kind} {measured.status}"
        }
        notes = [f"also {_counts(others)}"] if others else []
        notes += [f"invalid {_counts(measured.result.invalid)}"] if measured.result.invalid else []
        self.print_line(
            f"    {measured.name:<44} {measured.rate:>10,.1f}/s"
            f"  p50 {measured.percentile_ms(50):8.1f} ms  p99 {measured.percentile_ms(99):8.1f} ms"
            f"  {'  '.join(notes)}".rstrip()
        )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,}x {what}" for what, n in counts.items())


def _finish_all(running: Sequence[subprocess.Popen[str]], seconds: float) -> list[LoadResult]:
    try:
        return [wrk.finish(each, seconds) for each in running]
    finally:
        for each in running:
            if each.poll() is None:
                each.kill()
                each.wait()
