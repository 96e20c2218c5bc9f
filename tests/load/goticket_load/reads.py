"""Reads: public routes, different events, a buyer's own data, and reads during a sale."""

import statistics
from collections.abc import Mapping, Sequence

from goticket_load import baselines
from goticket_load.bench import Bench, Measurement, Target
from goticket_load.bulk_rows import add_events
from goticket_load.freshness import FreshnessCheck
from goticket_load.wrk import Load

CONNECTIONS = (64, 1024)
OWNERS = 100
"""Buyers whose own bookings and tickets are read."""
READERS_PER_BUYER = 5
BARE_FASTAPI = "bare FastAPI"
HALF_RATE = ", half of the best rate"


def public_routes(event: str) -> dict[str, str]:
    """Return the paths of the public reads by name."""
    return {
        "one event": f"/api/v1/events/{event}",
        "page of events": "/api/v1/events?limit=20",
        "availability": f"/api/v1/events/{event}/availability",
    }


def reads(bench: Bench) -> None:
    """Measure every read as a ratio to the bare FastAPI of the same run."""
    [event] = bench.create_events()
    seconds = bench.seconds(5, 1)
    with baselines.bare_fastapi_server() as bare_url:
        for connections in CONNECTIONS:
            _public_reads(bench, event, connections, seconds, bare_url)
        targets = _own_data(bench, event)
        targets["different events"] = _different_events(bench, event)
        _other_reads(bench, targets, seconds, bare_url)
    _half_rate(bench, event)
    _freshness(bench, event)
    bench.figures["invalid read responses"] = sum(
        sum(each.result.invalid.values()) for each in bench.loads if each.scenario == bench.scenario
    )


def _public_reads(
    bench: Bench, event: str, connections: int, seconds: float, bare_url: str
) -> None:
    before = bare_fastapi(bench, connections, seconds, bare_url)
    measured = {"/livez": _read(bench, "/livez", ["/livez"], connections, seconds)}
    for name, path in public_routes(event).items():
        measured[name] = _read(bench, name, [path], connections, seconds, checks="public")
    after = bare_fastapi(bench, connections, seconds, bare_url)
    _record_ratios(bench, measured, (before + after) / 2, connections)


def _other_reads(
    bench: Bench, targets: Mapping[str, Sequence[str]], seconds: float, bare_url: str
) -> None:
    connections = CONNECTIONS[0]
    before = bare_fastapi(bench, connections, seconds, bare_url)
    measured = {
        name: _read(
            bench,
            name,
            lines,
            connections,
            seconds,
            checks="public" if name == "different events" else "private",
        )
        for name, lines in targets.items()
    }
    after = bare_fastapi(bench, connections, seconds, bare_url)
    _record_ratios(bench, measured, (before + after) / 2, connections)


def _read(
    bench: Bench,
    name: str,
    targets: Sequence[str],
    connections: int,
    seconds: float,
    *,
    checks: str = "",
    rate: float = 0,
    suffix: str = "",
) -> Measurement:
    """Read paths in turn; a target is a path, or a path, a tab and a token."""
    settings = {"TARGETS": str(bench.write_list(targets)), "CHECKS": checks}
    load = Load("read", connections, seconds, rate, settings=settings)
    return bench.run_load(f"{name}, {connections:,}{suffix}", load)


def bare_fastapi(bench: Bench, connections: int, seconds: float, url: str) -> float:
    """Return the answers/s of the bare FastAPI application at `url`."""
    settings = {"TARGETS": str(bench.write_list(["/"]))}
    load = Load("read", connections, seconds, settings=settings)
    return bench.run_load(f"{BARE_FASTAPI}, {connections:,}", load, url=url).rate


def _record_ratios(
    bench: Bench, measured: Mapping[str, Measurement], baseline: float, connections: int
) -> None:
    for name, each in measured.items():
        # The rate counts status 200 only: a fast error is no read.
        rate = each.result.per_second("read", 200) or each.result.per_second("other", 200)
        bench.figures[f"{name} / {BARE_FASTAPI}, {connections:,}"] = rate / baseline


def _different_events(bench: Bench, event: str) -> list[str]:
    count = 1_000 if bench.quick else 10_000
    ids = add_events(bench.system, event, count)
    return [f"/api/v1/events/{each}" for each in ids]


def _own_data(bench: Bench, event: str) -> dict[str, list[str]]:
    """Let buyers book two tickets each; return the targets of reads of their own data."""
    bookings, tickets, qr_codes = [], [], []
    for buyer in bench.buyers[:OWNERS]:
        booking = bench.create_booking(event, buyer, quantity=2).json()
        bookings.append(f"/api/v1/bookings/{booking['id']}\t{buyer.token}")
        tickets.append(f"/api/v1/tickets\t{buyer.token}")
        qr_codes += [
            f"/api/v1/tickets/{ticket['id']}/qr.svg\t{buyer.token}" for ticket in booking["tickets"]
        ]
    return {"own booking": bookings, "own tickets": tickets, "qr.svg": qr_codes}


def _half_rate(bench: Bench, event: str) -> None:
    """Measure the latency of public reads at half of their best rate."""
    connections = CONNECTIONS[0]
    p99s = {}
    for name, path in public_routes(event).items():
        best = bench.latest(f"{name}, {connections}")
        if best is None or not best.rate:
            continue
        p99s[name] = statistics.median(
            _read(
                bench,
                name,
                [path],
                connections,
                bench.seconds(3, 1),
                checks="public",
                rate=best.rate / 2,
                suffix=HALF_RATE,
            ).percentile_ms(99)
            for _ in range(1 if bench.quick else 3)
        )
    if p99s:
        bench.record_figure(f"reads, p99{HALF_RATE}", max(p99s.values()), " ms")


def _freshness(bench: Bench, event: str) -> None:
    """Change the event under read load and check the age of answers."""
    check = FreshnessCheck(bench.system.base_url, event, bench.organizer)
    with check:
        path = public_routes(event)["one event"]
        seconds = bench.seconds(6, 3)
        _read(bench, "one event", [path], CONNECTIONS[0], seconds, suffix=", changing")
    bench.record_figure("age of the oldest answer", 1000 * check.oldest_seconds, " ms")
    bench.figures["answers older than 1 s"] = check.too_old
    bench.figures["own changes that were not read at once"] = check.stale_own_reads
    bench.figures["freshness, reads"] = len(check.reads)
    bench.figures["freshness, changes"] = len(check.changes)
    if check.errors or not check.changes or not check.reads:
        bench.failures.append(f"freshness: {'; '.join(check.errors) or 'nothing was checked'}")


def reads_during_sale(bench: Bench) -> None:
    """Compare the sale of a hot event with and without five times as many readers."""
    [event] = bench.create_events()
    bench.warm_up(event)
    buyers = CONNECTIONS[0]
    readers = READERS_PER_BUYER * buyers
    seconds = bench.seconds(6, 2)
    book = Load("book", buyers, seconds)

    def alone() -> float:
        return bench.run_load("hot event without readers", book, [event]).rate

    before = alone()
    settings = {
        "TARGETS": str(bench.write_list(public_routes(event).values())),
        "CHECKS": "public",
    }
    selling, reading = bench.run_loads(
        [
            Target("hot event with readers", book, (event,)),
            Target(f"readers, {readers:,}", Load("read", readers, seconds, settings=settings)),
        ]
    )
    after = alone()
    bench.figures["hot event with readers / without"] = 2 * selling.rate / (before + after)
    bench.figures["readers during the sale"] = reading.rate
