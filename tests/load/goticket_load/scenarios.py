"""The scenarios by name, in their order."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from goticket_load import baselines
from goticket_load.bench import Bench, Target
from goticket_load.email_fairness import email_fairness
from goticket_load.goals import PGBENCH
from goticket_load.overload import overload
from goticket_load.reads import BARE_FASTAPI, bare_fastapi, reads, reads_during_sale
from goticket_load.stored_bookings import stored_bookings
from goticket_load.ticket_pdfs import ticket_pdfs
from goticket_load.unary import single_client, unary
from goticket_load.wrk import Load


@dataclass(frozen=True)
class Scenario:
    """One name of `make bench S=…`."""

    name: str
    title: str
    run: Callable[[Bench], None]
    seconds: float
    """Approximate duration of a full run."""
    quick_seconds: float


def pgbench(bench: Bench) -> None:
    """One transaction per booking, without any service."""
    rate = baselines.one_transaction_per_booking(bench.system.server, bench.seconds(8, 3))
    bench.record_figure(PGBENCH, max(rate, bench.figures.get(PGBENCH, 0)), "/s")


def hot_event(bench: Bench) -> None:
    """One event with large capacity and an increasing number of concurrent buyers."""
    event = bench.create_events()
    bench.warm_up(event[0])
    seconds = bench.seconds(8, 2)
    for connections in (1, 16, 64, 256, 1024):
        bench.run_load(f"hot event, {connections}", Load("book", connections, seconds), event)
    pgbench(bench)  # again, because the speed of the machine may have changed
    rate = bench.best_load().rate / 2
    bench.scenario = "hot-event, half"
    for _ in range(3):  # the median excludes a run in which a shared machine paused
        half = Load("book", 128, bench.seconds(5, 2), rate=rate)
        bench.run_load("hot event, half of the best rate", half, event)


def sell_out(bench: Bench) -> None:
    """Ten requests for each ticket, then the cost of a rejection."""
    tickets = 1_000 if bench.quick else 10_000
    event = bench.create_events(capacity=tickets)
    limit = 10 * tickets
    load = Load("book", 256, bench.seconds(60, 20), limit=limit)
    sold = bench.run_load(f"sell-out of {tickets:,}", load, event)
    bench.figures["sell-out, sold"] = sold.result.count("book", 201)
    bench.figures["sell-out, seconds to the last ticket"] = max(
        (at for at, rate in sold.result.rates("book", 201) if rate), default=0.0
    )
    seconds = bench.seconds(6, 2)
    without_keys = Load("book", 64, seconds, settings={"IDEMPOTENCY_KEYS": "0"})
    with baselines.bare_fastapi_server() as bare_url:
        before = bare_fastapi(bench, 64, seconds, bare_url)
        rejected = bench.run_load("sold out, rejections", Load("book", 64, seconds), event)
        cached = bench.run_load("sold out, rejections by the cache", without_keys, event)
        after = bare_fastapi(bench, 64, seconds, bare_url)
    baseline = (before + after) / 2
    bench.figures[f"rejections / {BARE_FASTAPI}"] = rejected.rate / baseline
    bench.figures[f"rejections by the cache / {BARE_FASTAPI}"] = cached.rate / baseline


def many_events(bench: Bench) -> None:
    """Buyers distributed over many events."""
    count = 100 if bench.quick else 1_000
    events = bench.create_events(count)
    seconds = bench.seconds(8, 2)
    bench.warm_up(events[0])
    load = Load("book", 64, seconds)
    one = bench.run_load("one hot event, for comparison", load, events[:1])
    many = bench.run_load(f"{count:,} events", load, events)
    bench.figures["many events / one"] = many.rate / one.rate
    best = Load("book", bench.best_load().connections, seconds)
    bench.run_load(f"{count:,} events, {best.connections:,} connections", best, events)


def holds_and_reads(bench: Bench) -> None:
    """Holds that are confirmed, cancelled or left to expire, with ten reads per write."""
    hold_seconds = int(bench.seconds(5, 2))
    settings = {"BOOKING_HOLD_SECONDS": f"{hold_seconds}", "BOOKING_MAX_HOLDS_PER_BUYER": "1000"}
    bench.system.restart("booking serve", settings)
    events = bench.create_events(10)
    bench.warm_up(events[0])
    load = Load("holds_and_reads", 64, bench.seconds(15, 3))
    bench.run_load("holds and reads, 64", load, events)
    held = "SELECT count(*) FROM booking.bookings WHERE status = 'held'"
    deadline = time.monotonic() + hold_seconds + 20
    while (overdue := int(bench.system.sql(held))) and time.monotonic() < deadline:
        time.sleep(0.5)
    expired = "SELECT count(*) FROM booking.bookings WHERE status = 'expired'"
    bench.record_figure("holds expired", float(bench.system.sql(expired)))
    bench.record_figure("holds overdue at the end", overdue)
    bench.system.restart_without("booking serve", *settings)


def replica(bench: Bench) -> None:
    """A second gateway with its own booking server sells the same event."""
    event = bench.create_events()
    bench.warm_up(event[0])
    seconds = bench.seconds(8, 2)
    one = bench.run_load("one replica, 64", Load("book", 64, seconds), event)
    second = bench.system.add_replica()
    try:
        bench.warm_up(event[0], second)
        name, load = "two replicas, 32 each", Load("book", 32, seconds)
        both = bench.run_loads(
            [Target(name, load, event, url) for url in (bench.system.base_url, second)]
        )
    finally:
        bench.system.drop_replica()
    together = sum(each.rate for each in both)
    bench.record_figure("two replicas, together", together, "/s")
    bench.figures["two replicas / one"] = together / one.rate


def relay_and_email(bench: Bench) -> None:
    """The messages and e-mails that the bookings of this run have caused."""
    system = bench.system
    pending = "SELECT count(*) FROM booking.outbox"
    if int(system.sql(pending)) < 5_000:
        load = Load("book", 64, bench.seconds(8, 3))
        bench.run_load("bookings to relay", load, bench.create_events())
    system.start("booking relay")
    before = remaining = int(system.sql(pending))
    began = time.monotonic()
    while remaining and time.monotonic() - began < bench.seconds(20, 5):
        time.sleep(0.25)
        remaining = int(system.sql(pending))
    bench.record_figure("relayed", (before - remaining) / (time.monotonic() - began), "/s")
    bench.figures["relay, pending at the start"] = before
    system.stop("booking relay")
    system.start("notification worker")
    emails = _emails(bench)
    began = time.monotonic()
    time.sleep(bench.seconds(15, 5))
    sent = _emails(bench) - emails
    bench.record_figure("e-mails with PDF", sent / (time.monotonic() - began), "/s")
    system.start("booking relay")
    name = "hot event while relay and notification run, 64"
    bench.run_load(name, Load("book", 64, bench.seconds(8, 2)), bench.create_events())
    for process in ("booking relay", "notification worker"):
        system.stop(process)


def _emails(bench: Bench) -> int:
    response = httpx.get(f"{bench.system.mailbox.url}/api/v1/messages", params={"limit": 1})
    total: int = response.json()["total"]
    return total


SCENARIOS = (
    Scenario("pgbench", "Baseline: one transaction per booking", pgbench, 9, 4),
    Scenario("unary", "Baseline: the unary path", unary, 47, 8),
    Scenario("hot-event", "One hot event with large capacity", hot_event, 76, 20),
    Scenario("single-client", "A single client", single_client, 50, 15),
    Scenario("sell-out", "Sell-out and rejections", sell_out, 60, 8),
    Scenario("many-events", "Many events at once", many_events, 40, 8),
    Scenario("holds-and-reads", "Holds, expiries and reads", holds_and_reads, 45, 14),
    Scenario("reads", "Reads, compared with bare FastAPI", reads, 150, 36),
    Scenario("reads-during-sale", "A sale with readers", reads_during_sale, 25, 9),
    Scenario("ticket-pdfs", "A sale with readers of PDFs", ticket_pdfs, 65, 25),
    Scenario("overload", "Overload", overload, 110, 35),
    Scenario("replica", "A second replica", replica, 36, 10),
    Scenario("stored-bookings", "Two million bookings stored", stored_bookings, 130, 18),
    Scenario("relay-and-email", "Relay and notification", relay_and_email, 60, 15),
    Scenario("email-fairness", "E-mails while one account books", email_fairness, 40, 40),
)
