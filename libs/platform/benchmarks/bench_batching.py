"""CPU time per request of the batcher alone, by concurrency.

    .venv/bin/python -m libs.platform.benchmarks.bench_batching

The executor returns after one turn of the event loop. "single" submits requests one by one, as
the gateway does; "group" submits 64 at a time, as booking does. The lowest of several rounds
counts: CPU time varies with the load of the machine.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import uvloop
from goticket_platform.batching import Batcher, BatchingLimits, InFlightBatch

REQUESTS = 40_000
ROUNDS = 5
SUBMITTERS = (1, 32, 1024)
KEYS = (1, 1_000)
GROUP_SIZE = 64
LIMITS = BatchingLimits(
    max_in_flight=6,
    max_in_flight_per_key=3,
    max_waiting=10**6,
    max_waiting_per_key=10**6,
    reserve=2.0,
)
DEADLINE = 10**9


@dataclass(frozen=True, slots=True)
class Request:
    """A request of one key."""

    key: int


async def execute(batch: InFlightBatch[int, Request, None]) -> None:
    """Resolve all requests after one turn of the loop."""
    await asyncio.sleep(0)
    for entry in batch.entries:
        entry.resolve(None)


def open_batcher() -> Batcher[int, Request, None]:
    """Return a batcher with the gateway's limits, but room for all requests."""
    return Batcher(execute, key_of=attrgetter("key"), error_for=RuntimeError, limits=LIMITS)


async def single(submitters: int, keys: int) -> float:
    """Return CPU seconds per request, submitted one by one."""
    batcher = open_batcher()

    async def submit(request: Request, times: int) -> None:
        for _ in range(times):
            await batcher.submit(request, DEADLINE)

    times = max(1, REQUESTS // submitters)
    work = [submit(Request(number % keys), times) for number in range(submitters)]
    return await _cpu_seconds(work) / (times * submitters)


async def group(submitters: int, keys: int) -> float:
    """Return CPU seconds per request, submitted in groups."""
    batcher = open_batcher()

    async def submit(requests: list[Request], times: int) -> None:
        for _ in range(times):
            await batcher.submit_many(requests, DEADLINE)

    times = max(1, REQUESTS // submitters // GROUP_SIZE)
    work = [
        submit([Request((number + index) % keys) for index in range(GROUP_SIZE)], times)
        for number in range(submitters)
    ]
    return await _cpu_seconds(work) / (times * submitters * GROUP_SIZE)


async def _cpu_seconds(work: Sequence[Awaitable[None]]) -> float:
    start = time.process_time()
    await asyncio.gather(*work)
    return time.process_time() - start


def main() -> None:
    """Print microseconds per request."""
    shapes: dict[str, Callable[[int, int], Awaitable[float]]] = {"single": single, "group": group}
    for name, measure in shapes.items():
        for keys in KEYS:
            for submitters in SUBMITTERS:
                rounds = [uvloop.run(_run(measure, submitters, keys)) for _ in range(ROUNDS)]
                sys.stdout.write(
                    f"{name:6} {keys:5} keys {submitters:5} submitters"
                    f" {min(rounds) * 1e6:7.2f} us per request\n"
                )
                sys.stdout.flush()


async def _run(
    measure: Callable[[int, int], Awaitable[float]], submitters: int, keys: int
) -> float:
    return await measure(submitters, keys)


if __name__ == "__main__":
    main()
