"""The unary path: the same services with batching switched off, and one client on both paths."""

import statistics
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from booking.config import ServeSettings
from gateway.config import GatewaySettings

from goticket_load.bench import Bench
from goticket_load.wrk import Load

BATCHING = {"booking serve": "BOOKING_BATCHING", "gateway serve": "GATEWAY_BATCHING"}
"""The setting of each process that switches batching off; callees are restarted first."""


def unary(bench: Bench) -> None:
    """Measure one call and one transaction per booking."""
    bench.notes += [f"{process} has no setting {setting}" for process, setting in missing()]
    _switch_off(bench)
    event = bench.create_events()
    bench.warm_up(event[0])
    seconds = bench.seconds(8, 1)
    for connections in (1, 64) if bench.quick else (1, 16, 64, 256):
        bench.run_load(f"unary, {connections}", Load("book", connections, seconds), event)
    _switch_on(bench)


def missing() -> list[tuple[str, str]]:
    """Return the processes of this version that cannot switch batching off."""
    present = {
        "gateway serve": "batching" in GatewaySettings.model_fields,
        "booking serve": "batching" in ServeSettings.model_fields,
    }
    return [each for each in BATCHING.items() if not present[each[0]]]


def single_client(bench: Bench) -> None:
    """Measure one client that uses the batched and the unary path in turn.

    The processes are restarted several times, and each path is equally often in those that
    started first. The memory layout of a process changes its speed by more than the paths
    differ.
    """
    p50s: dict[str, list[float]] = {"batched": [], "unary": []}
    bookings = 0
    for turn in range(2 if bench.quick else 4):
        with _both_paths(bench, unary_first=turn % 2 == 1) as urls:
            event = bench.create_events()[0]
            bench.book_alternately(urls, event, bench.seconds(2, 1))  # warm-up
            durations = bench.book_alternately(urls, event, bench.seconds(5, 1))
            for path, each in durations.items():
                p50s[path].append(statistics.median(each))
                bookings += len(each)
    means = {path: statistics.mean(each) for path, each in p50s.items()}
    for path, seconds in means.items():
        bench.record_figure(f"single client, {path}, p50", 1000 * seconds, " ms")
    bench.figures["single client, bookings"] = bookings
    bench.figures["single client / unary"] = means["batched"] / means["unary"]


@contextmanager
def _both_paths(bench: Bench, *, unary_first: bool) -> Iterator[Mapping[str, str]]:
    """Start both paths side by side; yields their URLs."""
    system = bench.system
    first, second = ("unary", "batched") if unary_first else ("batched", "unary")
    with ExitStack() as cleanup:
        if unary_first:
            cleanup.callback(_switch_on, bench)
            _switch_off(bench)
            url = system.add_replica()
        else:
            _switch_on(bench)
            url = system.add_replica(
                booking_settings={"BATCHING": "false"}, gateway_settings={"BATCHING": "false"}
            )
        cleanup.callback(system.drop_replica)
        yield {first: system.base_url, second: url}


def _switch_off(bench: Bench) -> None:
    for process, setting in BATCHING.items():
        bench.system.restart(process, {setting: "false"})


def _switch_on(bench: Bench) -> None:
    for process, setting in BATCHING.items():
        bench.system.restart_without(process, setting)
