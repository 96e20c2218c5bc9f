"""The scenarios, by letter, in the order they run in."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx
from booking.config import ServeSettings
from gateway.config import GatewaySettings

from goticket_load import yardsticks
from goticket_load.bench import PLENTY, Bench
from goticket_load.history import add_history
from goticket_load.overload import overload
from goticket_load.wrk import Load

UNARY = {"booking serve": "BOOKING_BATCHING", "gateway serve": "GATEWAY_BATCHING"}
"""Settings that, when false, take a process's part of the batched path out of service; whoever
is asked first is started first."""
HOLD_SECONDS = 5


@dataclass(frozen=True)
class Scenario:
    """One letter of `make bench S=…`."""

    letter: str
    title: str
    run: Callable[[Bench], None]
    seconds: float
    quick_seconds: float
    """About how long it takes."""


def database_yardstick(bench: Bench) -> None:
    """One transaction a booking, without any service; the bare web framework."""
    seconds = bench.seconds(8, 4)
    tps = yardsticks.one_transaction_per_booking(bench.machine.server, seconds)
    bench.figure("pgbench, 64 clients", max(tps, bench.figures.get("pgbench, 64 clients", 0)), "/s")


def framework_yardsticks(bench: Bench) -> None:
    """What the web framework can do at all, here and inside the gateway."""
    seconds = bench.seconds(5, 3)
    with yardsticks.hello_server() as url:
        bench.load("bare FastAPI", Load("read", 64, seconds, settings={"PATH": "/"}), url=url)
    bench.load("gateway's /livez", Load("read", 64, seconds, settings={"PATH": "/livez"}))


def unary(bench: Bench) -> None:
    """The same services with batching switched off: one call and one transaction a booking."""
    bench.notes += [f"{process} of this version has no {setting}" for process, setting in missing()]
    _go_unary(bench)
    event = bench.events()
    bench.warm_up(event[0])
    seconds = bench.seconds(8, 4)
    for connections in (1, 64) if bench.quick else (1, 16, 64, 256):
        bench.load(f"unary, {connections}", Load("book", connections, seconds), event)
    _restore(bench)


def _go_unary(bench: Bench) -> None:
    """Start the processes anew with batching switched off, until `_restore`."""
    for process, setting in UNARY.items():
        bench.machine.restart(process, {setting: "false"})


def _restore(bench: Bench) -> None:
    """Start the processes of the batched path anew."""
    for process, setting in UNARY.items():
        bench.machine.without(process, setting)


def missing() -> list[tuple[str, str]]:
    """The parts of the batched path that this version does not have, or cannot go without."""
    has = {
        "gateway serve": "batching" in GatewaySettings.model_fields,
        "booking serve": "batching" in ServeSettings.model_fields,
    }
    return [(process, setting) for process, setting in UNARY.items() if not has[process]]


def hot(bench: Bench) -> None:
    """One event, plenty of stock, ever more buyers at once."""
    event = bench.events()
    bench.warm_up(event[0])
    seconds = bench.seconds(8, 4)
    for connections in (1, 16, 64, 256, 1024):
        bench.load(f"hot event, {connections}", Load("book", connections, seconds), event)
    database_yardstick(bench)  # again: the machine may have been faster or slower meanwhile
    rate = bench.best().rate / 2
    bench.scenario = "a, half"
    for _ in range(3):  # a moment in which the machine stood still is one in a hundred of a run
        half = Load("book", 128, bench.seconds(5, 3), rate=rate)
        bench.load("hot event, half of the best rate", half, event)


def lonely(bench: Bench) -> None:
    """One buyer at a time, in turns on this path and on the unary one.

    Several times with processes started anew, and either path half of the times in those
    that were started first: where the memory of a process comes to lie makes it faster or
    slower by more than the two paths differ by.
    """
    p50s: dict[str, list[float]] = {"batched": [], "unary": []}
    bookings = 0
    for turn in range(2 if bench.quick else 4):
        with _both_paths(bench, unary_first=turn % 2 == 1) as urls:
            event = bench.events()[0]
            bench.in_turns(urls, event, 2)  # warms up
            for path, taken in bench.in_turns(urls, event, bench.seconds(5, 3)).items():
                p50s[path].append(statistics.median(taken))
                bookings += len(taken)
    means = {path: statistics.mean(each) for path, each in p50s.items()}
    for path, seconds in means.items():
        bench.figure(f"lonely, {path}, p50", 1000 * seconds, " ms")
    bench.figures["lonely, bookings"] = bookings
    bench.figures["lonely / unary"] = means["batched"] / means["unary"]


@contextmanager
def _both_paths(bench: Bench, *, unary_first: bool) -> Iterator[Mapping[str, str]]:
    """Start both paths side by side, and tell their addresses."""
    machine = bench.machine
    first, second = ("unary", "batched") if unary_first else ("batched", "unary")
    with ExitStack() as undo:
        if unary_first:
            undo.callback(_restore, bench)
            _go_unary(bench)
            url = machine.add_replica()
        else:
            _restore(bench)
            url = machine.add_replica(
                booking_settings={"BATCHING": "false"}, gateway_settings={"BATCHING": "false"}
            )
        undo.callback(machine.drop_replica)
        yield {first: machine.base_url, second: url}


def sell_out(bench: Bench) -> None:
    """10,000 tickets, 100,000 requests; then the price of saying no."""
    tickets = 1_000 if bench.quick else 10_000
    event = bench.events(capacity=tickets)
    limit = 10 * tickets
    load = Load("book", 256, bench.seconds(60, 20), limit=limit)
    sold = bench.load(f"sell-out of {tickets:,}", load, event)
    bench.figures["sell-out, sold"] = sold.tally.count("book", 201)
    bench.figures["sell-out, seconds to the last ticket"] = max(
        (at for at, rate in sold.tally.rates("book", 201) if rate), default=0.0
    )
    seconds = bench.seconds(6, 3)
    bench.load("sold out, refusals", Load("book", 64, seconds), event)
    keyless = Load("book", 64, seconds, settings={"KEYS": "0"})
    bench.load("sold out, refusals from memory", keyless, event)
    cheapest = Load("read", 64, seconds, settings={"PATH": "/livez"})
    bench.load("cheapest route", cheapest)


def many_events(bench: Bench) -> None:
    """Buyers spread over many events."""
    count = 100 if bench.quick else 1_000
    events = bench.events(count, capacity=PLENTY)
    seconds = bench.seconds(8, 4)
    bench.warm_up(events[0])
    one = bench.load("one hot event beside it", Load("book", 64, seconds), events[:1])
    many = bench.load(f"{count:,} events", Load("book", 64, seconds), events)
    bench.figures["many events / one"] = many.rate / one.rate
    crowd = Load("book", bench.best().connections, seconds)
    bench.load(f"{count:,} events, {crowd.connections:,} connections", crowd, events)


def day(bench: Bench) -> None:
    """Holds confirmed, cancelled or left to expire, with ten reads a write."""
    settings = {"BOOKING_HOLD_SECONDS": f"{HOLD_SECONDS}", "BOOKING_MAX_HOLDS_PER_BUYER": "1000"}
    bench.machine.restart("booking serve", settings)
    events = bench.events(10)
    bench.warm_up(events[0])
    bench.load("holds and reads, 64", Load("shop", 64, bench.seconds(15, 5)), events)
    held = "SELECT count(*) FROM booking.bookings WHERE status = 'held'"
    deadline = time.monotonic() + HOLD_SECONDS + 20
    while (left := int(bench.machine.sql(held))) and time.monotonic() < deadline:
        time.sleep(0.5)
    expired = "SELECT count(*) FROM booking.bookings WHERE status = 'expired'"
    bench.figure("holds expired", float(bench.machine.sql(expired)))
    bench.figure("holds overdue at the end", left)
    bench.machine.without("booking serve", *settings)


def replica(bench: Bench) -> None:
    """A second gateway with a booking of its own sells the same event."""
    event = bench.events()
    bench.warm_up(event[0])
    seconds = bench.seconds(8, 4)
    one = bench.load("one replica, 64", Load("book", 64, seconds), event)
    second = bench.machine.add_replica()
    try:
        bench.load("warm-up", Load("book", 16, bench.seconds(3, 2)), event, url=second, kept=False)
        load = Load("book", 32, seconds)
        both = bench.loads_at_once(
            "two replicas, 32 each", load, event, [bench.machine.base_url, second]
        )
    finally:
        bench.machine.drop_replica()
    bench.figure("two replicas, together", sum(each.rate for each in both), "/s")
    bench.figures["two replicas / one"] = sum(each.rate for each in both) / one.rate


def history(bench: Bench) -> None:
    """The hot event when very many bookings are stored already."""
    event = bench.events()
    bench.warm_up(event[0])
    seconds = bench.seconds(8, 4)
    empty = bench.load("before", Load("book", 64, seconds), event)
    rows = 100_000 if bench.quick else 2_000_000
    add_history(bench.machine, event[0], rows)
    full = bench.load(f"with {rows:,} bookings stored", Load("book", 64, seconds), event)
    # What the other scenarios left is stored by now: the better of then and nearly empty counts.
    first = bench.named("hot event, 64") or empty
    bench.figures["history / empty"] = full.rate / max(empty.rate, first.rate)


def followers(bench: Bench) -> None:
    """What all these bookings set off: events to the broker, mails to people."""
    pending = "SELECT count(*) FROM booking.outbox"
    if int(bench.machine.sql(pending)) < 5_000:
        bench.load("something to relay", Load("book", 64, bench.seconds(8, 4)), bench.events())
    bench.machine.start("booking relay")
    before = int(bench.machine.sql(pending))
    begun = time.monotonic()
    left = before
    while left and time.monotonic() - begun < bench.seconds(20, 6):
        time.sleep(0.25)
        left = int(bench.machine.sql(pending))
    bench.figure("relayed", (before - left) / (time.monotonic() - begun), "/s")
    bench.figures["relay, pending at the start"] = before
    bench.machine.stop("booking relay")
    bench.machine.start("notification worker")
    mails = _mails(bench)
    begun = time.monotonic()
    time.sleep(bench.seconds(15, 6))
    bench.figure("mails with PDF", (_mails(bench) - mails) / (time.monotonic() - begun), "/s")
    bench.machine.start("booking relay")
    name = "hot event while relay and mails run, 64"
    bench.load(name, Load("book", 64, bench.seconds(8, 4)), bench.events())
    for follower in ("booking relay", "notification worker"):
        bench.machine.stop(follower)


def _mails(bench: Bench) -> int:
    answer = httpx.get(f"{bench.machine.inbox.url}/api/v1/messages", params={"limit": 1})
    total: int = answer.json()["total"]
    return total


SCENARIOS = (
    Scenario("y", "Yardstick: one transaction a booking", database_yardstick, 9, 5),
    Scenario("w", "Yardstick: the web framework", framework_yardsticks, 13, 9),
    Scenario("u", "Yardstick: the unary path", unary, 47, 18),
    Scenario("a", "Hot event, plenty of stock", hot, 76, 42),
    Scenario("l", "One lonely buyer", lonely, 50, 22),
    Scenario("b", "Sell-out, and refusals", sell_out, 60, 20),
    Scenario("c", "Many events at once", many_events, 40, 15),
    Scenario("d", "Holds, confirmations, expiries and reads", day, 45, 25),
    Scenario("e", "Overload", overload, 90, 60),
    Scenario("g", "A second replica", replica, 36, 20),
    Scenario("h", "Millions of bookings stored", history, 100, 20),
    Scenario("f", "Relay and notification", followers, 60, 25),
)
