"""More load than the system can serve: accepted bookings, rejections and other routes."""

import statistics
import threading
import time
from collections.abc import Callable
from typing import Self

import httpx

from goticket_load.bench import BEST_CONNECTIONS, Bench, Measurement
from goticket_load.wrk import Load

FACTOR = 5
TRANSACTION_SECONDS = 0.35
"""Additional duration of a transaction on the slow database; 256 bookings share one."""
CLIENTS_PER_RATE = 12
"""Clients per booking/s of the slow database. Bookings of at most four seconds wait in the
queue, and rejected clients retry every two seconds. That is five times the rate."""


def overload(bench: Bench) -> None:
    """Measure five times the sustainable rate, and five times the clients of the best rate."""
    five_times_the_rate(bench)
    five_times_the_clients(bench)


def five_times_the_rate(bench: Bench) -> None:
    """Send five requests for each booking that a slow database can make.

    Five times the best rate of this machine is more than it can receive or send. With a slow
    database the bottleneck is the database, as in most overloads.
    """
    hot, other = bench.create_events(2)
    bench.warm_up(hot)
    with bench.system.slow_transactions(TRANSACTION_SECONDS):
        load = Load("book", BEST_CONNECTIONS, bench.seconds(8, 3))
        best = bench.run_load("slow database", load, [hot])
        clients = int(CLIENTS_PER_RATE * best.rate) + BEST_CONNECTIONS
        load = Load("book", clients, bench.seconds(16, 5), settings={"HONORS_RETRY_AFTER": "1"})
        # Cancellations are of another event: those of this one wait for its transactions.
        flooded = _overload(bench, "slow database, overload", load, hot, probed=other)
        ratio = _compare(bench, flooded, best.steady_rate)
        bench.figures[f"{flooded.name}, accepted / best"] = ratio


def five_times_the_clients(bench: Bench) -> None:
    """Run five times as many clients as the best rate has, with CPU as the bottleneck.

    First rejected clients wait for Retry-After, then they retry at once. Each load is compared
    with the mean of the best load before and after it. Each comparison is repeated, because a
    checkpoint or a pause of the machine can disturb one of them. All rates are without the
    first two seconds, because opening 5,120 connections at once takes about one.
    """
    connections = bench.best_load().connections
    [event] = bench.create_events()
    bench.warm_up(event)

    def best_rate() -> float:
        load = Load("book", connections, bench.seconds(6, 3))
        return bench.run_load("clients of the best rate", load, [event]).steady_rate

    repeats = 1 if bench.quick else 2
    before = best_rate()
    variants = {
        "overload": {"HONORS_RETRY_AFTER": "1"},
        "overload, Retry-After ignored": {},
    }
    for name, settings in variants.items():
        load = Load("book", FACTOR * connections, bench.seconds(9, 6), settings=settings)
        ratios = []
        for _ in range(repeats):
            flooded = _overload(bench, name, load, event, probed=event)
            after = best_rate()
            ratios.append(_compare(bench, flooded, (before + after) / 2))
            before = after
        bench.figures[f"{name}, accepted / best"] = statistics.mean(ratios)


def _overload(bench: Bench, name: str, load: Load, event: str, *, probed: str) -> Measurement:
    with Probes(bench, probed) as probes:
        flooded = bench.run_load(name, load, [event])
    bench.record_figure(f"{name}, rejected", flooded.result.per_second("book", 503), "/s")
    for what, milliseconds in probes.longest().items():
        bench.record_figure(f"{name}, longest {what}", milliseconds, " ms")
    return flooded


def _compare(bench: Bench, flooded: Measurement, best: float) -> float:
    """Record requested, and return accepted bookings as a share of the best rate."""
    requested = flooded.result.requests / flooded.result.seconds
    bench.figures[f"{flooded.name}, requested / best"] = requested / best
    return flooded.steady_rate / best


class Probes(threading.Thread):
    """Reads an event, cancels bookings and requests /livez during a load, one at a time."""

    def __init__(self, bench: Bench, event: str) -> None:
        super().__init__(daemon=True)
        self._bench = bench
        self._event = event
        self._done = threading.Event()
        self._seconds: dict[str, list[float]] = {}
        self._buyer = bench.buyers[0]
        booked = [bench.create_booking(event, self._buyer) for _ in range(20)]
        self._bookings = [response.json()["id"] for response in booked if response.is_success]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()

    def run(self) -> None:
        """Probe until the end of the block."""
        headers = self._buyer.headers
        with httpx.Client(base_url=self._bench.system.base_url, timeout=30, headers=headers) as api:
            while not self._done.wait(0.1):
                self._time("/livez", lambda: api.get("/livez"))
                self._time("read", lambda: api.get(f"/api/v1/events/{self._event}"))
                if self._bookings:
                    path = f"/api/v1/bookings/{self._bookings.pop()}/cancel"
                    self._time("cancellation", lambda path=path: api.post(path))  # type: ignore[misc]  # mypy cannot type a default here

    def _time(self, name: str, call: Callable[[], httpx.Response]) -> None:
        began = time.perf_counter()
        try:
            name += "" if call().is_success else ", rejected"
        except httpx.TransportError:
            name += ", broken"
        self._seconds.setdefault(name, []).append(time.perf_counter() - began)

    def longest(self) -> dict[str, float]:
        """Return the longest durations in milliseconds; there are too few for a p99."""
        return {name: 1000 * max(seconds) for name, seconds in self._seconds.items()}
