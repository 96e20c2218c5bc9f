"""More than can be served: who is served all the same, and does the rest answer meanwhile."""

import threading
import time
from collections.abc import Callable
from typing import Self

import httpx

from goticket_load.bench import CROWD, Bench, Measured
from goticket_load.wrk import Load

TIMES = 5
TRANSACTION_SECONDS = 0.35
"""What a transaction takes longer on the slow database: 256 bookings share one."""
BUYERS_PER_RATE = 12
"""Buyers for each booking a second that the slow database can make. Four seconds' worth of
them wait in the queue at most, the others come back every two seconds: five times the rate."""


def overload(bench: Bench) -> None:
    """Five times the rate that can be sustained, and five times the buyers of the best rate."""
    five_times_the_rate(bench)
    five_times_the_buyers(bench)


def five_times_the_rate(bench: Bench) -> None:
    """Five requests for each booking that can be made, because the database is slow.

    Five times what this machine can sell at its best is more requests than it can take,
    or send. So here the database is the narrow place, as it is in most overloads.
    """
    hot, quiet = bench.events(2)
    bench.warm_up(hot)
    with bench.machine.slow_transactions(TRANSACTION_SECONDS):
        load = Load("book", CROWD, bench.seconds(8, 5))
        best = bench.load("slow database", load, [hot]).rate
        buyers = int(BUYERS_PER_RATE * best) + CROWD
        load = Load("book", buyers, bench.seconds(16, 8), settings={"PATIENT": "1"})
        # Who cancels is a buyer of another event: a cancellation takes as long as a batch, and
        # of the same stock.
        flooded = _flood(bench, "slow database, overload", load, hot, looked_at=quiet)
        _compare(bench, flooded, best)


def five_times_the_buyers(bench: Bench) -> None:
    """As many buyers at once as five times the best rate takes; the machine is what is narrow.

    First they wait the seconds that a refusal asks for, then nobody waits: whoever is
    turned away comes back at once. Compared with the mean of the best load before and after.
    """
    connections = bench.best().connections
    [event] = bench.events()
    bench.warm_up(event)

    def usual() -> float:
        load = Load("book", connections, bench.seconds(8, 4))
        return bench.load("the best rate's buyers", load, [event]).rate

    before = usual()
    for name, settings in (("overload", {"PATIENT": "1"}), ("overload, nobody waits", {})):
        load = Load("book", TIMES * connections, bench.seconds(12, 6), settings=settings)
        flooded = _flood(bench, name, load, event, looked_at=event)
        after = usual()
        _compare(bench, flooded, (before + after) / 2)
        before = after


def _flood(bench: Bench, name: str, load: Load, event: str, *, looked_at: str) -> Measured:
    with Probes(bench, looked_at) as probes:
        flooded = bench.load(name, load, [event])
    bench.figure(f"{name}, turned away", flooded.tally.per_second("book", 503), "/s")
    for what, milliseconds in probes.longest().items():
        bench.figure(f"{name}, longest {what}", milliseconds, " ms")
    return flooded


def _compare(bench: Bench, flooded: Measured, best: float) -> None:
    """Keep what was accepted and what was asked for, as shares of the best rate."""
    asked = flooded.tally.requests / flooded.tally.seconds
    bench.figures[f"{flooded.name}, accepted / best"] = flooded.rate / best
    bench.figures[f"{flooded.name}, asked for / best"] = asked / best


class Probes(threading.Thread):
    """Somebody who reads, cancels and looks at /livez all the while, one thing at a time."""

    def __init__(self, bench: Bench, event: str) -> None:
        super().__init__(daemon=True)
        self._bench = bench
        self._event = event
        self._done = threading.Event()
        self._seconds: dict[str, list[float]] = {}
        self._buyer = bench.buyers[0]
        booked = [bench.book(event, self._buyer) for _ in range(20)]
        self._bookings = [answer.json()["id"] for answer in booked if answer.is_success]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()

    def run(self) -> None:
        """Look, until told to stop."""
        headers = self._buyer.headers
        with httpx.Client(
            base_url=self._bench.machine.base_url, timeout=30, headers=headers
        ) as api:
            while not self._done.wait(0.1):
                self._time("/livez", lambda: api.get("/livez"))
                self._time("read", lambda: api.get(f"/api/v1/events/{self._event}"))
                if self._bookings:
                    path = f"/api/v1/bookings/{self._bookings.pop()}/cancel"
                    self._time("cancel", lambda path=path: api.post(path))  # type: ignore[misc]  # mypy cannot type a default here

    def _time(self, name: str, call: Callable[[], httpx.Response]) -> None:
        begun = time.perf_counter()
        try:
            name += "" if call().is_success else ", refused"
        except httpx.TransportError:
            name += ", broken"
        self._seconds.setdefault(name, []).append(time.perf_counter() - begun)

    def longest(self) -> dict[str, float]:
        """Milliseconds by what was done; a p99 would take more than a hundred of each."""
        return {name: 1000 * max(seconds) for name, seconds in self._seconds.items()}
