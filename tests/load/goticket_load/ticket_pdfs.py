"""Bookings while other clients read their tickets as PDFs."""

from goticket_load.bench import Bench, Target
from goticket_load.wrk import Load

BUYERS = 16
READERS = 16
OWNERS = 200
TICKETS_PER_OWNER = 10
FIGURE = "p50 of bookings with readers of PDFs / alone"


def ticket_pdfs(bench: Bench) -> None:
    """Compare bookings with and without readers of different PDFs, then of cached ones."""
    [event] = bench.create_events()
    bench.warm_up(event)
    targets = _tickets(bench, event)
    seconds = bench.seconds(8, 3)
    book = Load("book", BUYERS, seconds)
    ratios = []
    for name, lines in (("different", targets), ("cached", targets[: 2 * READERS])):
        if name == "cached":  # drawn once before they count as cached
            _read(bench, "warm-up", lines, seconds, event=None)
        before = bench.run_load("bookings without readers of PDFs", book, [event])
        with_readers = _read(bench, name, lines, seconds, event=event)
        after = bench.run_load("bookings without readers of PDFs", book, [event])
        alone = (before.percentile_ms(50) + after.percentile_ms(50)) / 2
        ratios.append(with_readers / alone)
        bench.record_figure(f"p50 of bookings with readers of {name} PDFs / alone", ratios[-1])
    bench.record_figure(FIGURE, max(ratios))


def _read(bench: Bench, name: str, lines: list[str], seconds: float, event: str | None) -> float:
    """Read the PDFs of the list in turn; return the p50 of bookings meanwhile, in ms."""
    settings = {"TARGETS": str(bench.write_list(lines)), "CHECKS": "private"}
    read = Load("read", READERS, seconds, settings=settings)
    reading = Target(f"readers of {name} PDFs", read)
    if event is None:
        bench.run_loads([reading], keep=False)
        return 0.0
    book = Load("book", BUYERS, seconds)
    selling = Target(f"bookings with readers of {name} PDFs", book, (event,))
    measured, _ = bench.run_loads([selling, reading])
    return measured.percentile_ms(50)


def _tickets(bench: Bench, event: str) -> list[str]:
    """Let buyers book; return the targets of their tickets' PDFs."""
    owners = bench.buyers[: OWNERS // 10 if bench.quick else OWNERS]
    bookings = [
        (owner, bench.create_booking(event, owner, quantity=TICKETS_PER_OWNER).json())
        for owner in owners
    ]
    return [
        f"/api/v1/tickets/{booking['tickets'][number]['id']}/ticket.pdf\t{owner.token}"
        for number in range(TICKETS_PER_OWNER)
        for owner, booking in bookings
    ]
