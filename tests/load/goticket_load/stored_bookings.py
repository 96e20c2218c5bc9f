"""Compares sales in a database with very many bookings with sales in an empty one."""

import statistics
from collections.abc import Mapping

from goticket_load.bench import Bench
from goticket_load.bulk_rows import add_bookings
from goticket_load.wrk import Load

EMPTY_DATABASE = "goticket_empty"
CONNECTIONS = 64
MAIN, EMPTY = "main", "empty"


def stored_bookings(bench: Bench) -> None:
    """Sell in both databases in turn.

    A second gateway and booking server use the empty database. Halfway the servers exchange
    their databases, because the memory layout of a process changes its speed. Loads of
    different minutes are not compared: the speed of a machine changes by more than the
    databases differ.
    """
    rows = 100_000 if bench.quick else 2_000_000
    system = bench.system
    main_url = system.process("booking serve").env["BOOKING_DATABASE_URL"]
    empty_url = system.add_booking_database(EMPTY_DATABASE)
    # An event is in one database only, so that its bookings can be reconciled.
    events = dict(zip((MAIN, EMPTY), bench.create_events(2), strict=True))
    bench.warm_up(events[MAIN])
    add_bookings(system, events[MAIN], rows)
    rates: dict[str, list[float]] = {MAIN: [], EMPTY: []}
    second = system.add_replica(booking_settings={"DATABASE_URL": empty_url})
    try:
        first = system.base_url
        _sell_in_turn(bench, {MAIN: first, EMPTY: second}, events, rates, rows)
        if not bench.quick:
            system.restart("booking serve", {"BOOKING_DATABASE_URL": empty_url})
            system.restart("booking serve 2", {"BOOKING_DATABASE_URL": main_url})
            _sell_in_turn(bench, {MAIN: second, EMPTY: first}, events, rates, rows)
    finally:
        system.restart("booking serve", {"BOOKING_DATABASE_URL": main_url})
        system.drop_replica()
    means = {name: statistics.mean(each) for name, each in rates.items()}
    bench.figures["stored / empty"] = means[MAIN] / means[EMPTY]


def _sell_in_turn(
    bench: Bench,
    urls: Mapping[str, str],
    events: Mapping[str, str],
    rates: Mapping[str, list[float]],
    rows: int,
) -> None:
    names = {MAIN: f"{rows:,} bookings stored", EMPTY: "empty database"}
    for database, url in urls.items():
        bench.warm_up(events[database], url)
    load = Load("book", CONNECTIONS, bench.seconds(4, 2))
    for database in (MAIN, EMPTY, EMPTY, MAIN):
        measured = bench.run_load(names[database], load, [events[database]], url=urls[database])
        rates[database].append(measured.rate)
