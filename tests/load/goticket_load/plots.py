"""The charts of a run."""

from goticket_load.bench import Bench, Measurement
from goticket_load.charts import Axis, Series, bar_chart, line_chart
from goticket_load.goals import PGBENCH
from goticket_load.reads import BARE_FASTAPI, CONNECTIONS, HALF_RATE, public_routes
from goticket_load.wrk import GROWTH

CONNECTIONS_AXIS = Axis("connections", logarithmic=True)
MILLISECONDS = Axis("milliseconds", logarithmic=True)


def plots(bench: Bench) -> dict[str, str]:
    """Return SVG documents by name, for the scenarios that ran."""
    return {
        **_booking_plots(bench),
        **_half_rate_plots(bench),
        **_sell_out_plot(bench),
        **_read_plots(bench),
    }


def _booking_plots(bench: Bench) -> dict[str, str]:
    hot = [each for each in bench.loads if each.scenario == "hot-event"]
    unary = [each for each in bench.loads if each.scenario == "unary"]
    if not hot:
        return {}
    paths = [("one hot event", hot), ("unary path", unary)]
    series = [_rates(name, loads) for name, loads in paths if loads]
    if PGBENCH in bench.figures:
        level = bench.figures[PGBENCH]
        ends = [(each.connections, level) for each in (hot[0], hot[-1])]
        series.append(Series(PGBENCH, ends, dashed=True))
    return {
        "throughput": line_chart(
            "Bookings a second by concurrency", CONNECTIONS_AXIS, Axis("bookings/s"), series
        ),
        "latency": line_chart(
            "Latency of a booking by concurrency",
            CONNECTIONS_AXIS,
            MILLISECONDS,
            [
                _latencies(name, loads, percent)
                for name, loads in paths
                for percent in (50, 99)
                if loads
            ],
        ),
    }


def _rates(name: str, loads: list[Measurement]) -> Series:
    return Series(name, [(each.connections, each.rate) for each in loads])


def _latencies(name: str, loads: list[Measurement], percent: int) -> Series:
    points = [(float(each.connections), each.percentile_ms(percent)) for each in loads]
    return Series(f"{name}, p{percent}", points)


def _half_rate_plots(bench: Bench) -> dict[str, str]:
    names = {
        "histogram": ("hot event, half of the best rate", "bookings"),
        "reads-histogram": (f"one event, {CONNECTIONS[0]}{HALF_RATE}", "reads of one event"),
    }
    drawn = {}
    for plot, (name, what) in names.items():
        if half := bench.latest(name):
            buckets = half.result.histogram(half.kind, half.status)
            drawn[plot] = _histogram(f"Latency at half of the best rate, {what}", buckets)
    return drawn


def _histogram(title: str, buckets: list[tuple[float, int]]) -> str:
    total = sum(n for _, n in buckets) or 1
    bars = [(bound / GROWTH, bound, 100 * n / total) for bound, n in buckets]
    return bar_chart(title, MILLISECONDS, Axis("% of responses"), bars)


def _sell_out_plot(bench: Bench) -> dict[str, str]:
    sold = next((each for each in bench.loads if each.name.startswith("sell-out")), None)
    if sold is None:
        return {}
    series = [
        Series("booked (201)", sold.result.rates("book", 201)),
        Series("sold out (409)", sold.result.rates("book", 409)),
    ]
    chart = line_chart("A sell-out over time", Axis("seconds"), Axis("responses/s"), series)
    return {"sell-out": chart}


def _read_plots(bench: Bench) -> dict[str, str]:
    loads = {
        name: [each for c in CONNECTIONS if (each := bench.latest(f"{name}, {c:,}"))]
        for name in (BARE_FASTAPI, "/livez", *public_routes(""))
    }
    found = {name: each for name, each in loads.items() if each}
    if not found:
        return {}
    rates = [_rates(name, each) for name, each in found.items()]
    latencies = [_latencies(name, each, 99) for name, each in found.items() if name != BARE_FASTAPI]
    return {
        "reads": line_chart(
            "Reads a second by concurrency", CONNECTIONS_AXIS, Axis("reads/s"), rates
        ),
        "reads-latency": line_chart(
            "Latency of a read by concurrency", CONNECTIONS_AXIS, MILLISECONDS, latencies
        ),
    }
