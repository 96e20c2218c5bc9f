"""Throughput of one relay process, with small and with very large backlogs.

    .venv/bin/python -m libs.platform.benchmarks.bench_relay --source before=DIR

A small outbox is refilled while the relay runs, so that its size stays constant; a large one
is only emptied. A measurement ends after `--seconds` or `--events`, whichever is first.
`--source before=DIR` measures the platform of another checkout in the same run, on the same
servers, alternating with this one. The payload of a booking with two tickets goes to a quorum
queue and to the event log, as in the running system.
"""

import argparse
import asyncio
import json
import os
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import asyncpg
from google.protobuf.json_format import MessageToJson
from goticket.booking.v1 import events_pb2
from goticket_local.ports import free_port
from goticket_platform.migrations import migrate_up

from libs.platform.benchmarks.servers import Servers, private_servers

SCHEMA = "booking"
METRIC = 'goticket_outbox_published_total{schema="booking"} '
WARM_UP_SECONDS = 2.0
REFILL_SECONDS = 0.02
REFILL_LIMIT = 100_000
"""Outboxes up to this size are refilled."""
COUNT_LIMIT = 10_000
"""Outboxes up to this size are counted for that; counting larger ones would slow the relay."""

FILL = """
INSERT INTO booking.outbox
    (message_id, type, aggregate_id, aggregate_version, partition_id, payload, headers, occurred_at)
SELECT gen_random_uuid(), 'goticket.booking.booking.confirmed.v1', gen_random_uuid(), 1, $2,
       $3::json, $4::json, now()
FROM generate_series(1, $1)
"""

RELAY = """
import asyncio, os
from goticket_platform.lifecycle import run
from goticket_platform.logs import configure_logging
from goticket_platform.messaging.relay_process import run_relay
from goticket_platform.telemetry import configure_tracing
configure_logging("bench", "INFO")
configure_tracing("bench", None, 1.0)
run(lambda stop: run_relay(
    dsn=os.environ["DSN"], amqp_url=os.environ["AMQP"], schema="booking",
    source="/goticket/booking", metrics_listen=os.environ["LISTEN"], stop=stop))
"""


@dataclass(frozen=True)
class Setting:
    """One measured case: the platform's source, the backlog's size, and whether it is traced."""

    source: str
    path: str
    pending: int
    sampled: bool


@dataclass(frozen=True)
class Result:
    """Messages confirmed per second, and CPU time of the relay per message (µs)."""

    rate: float
    cpu: float


def payload() -> str:
    """Return the payload of a confirmed booking with two tickets."""
    booking = events_pb2.BookingState(
        id="0198c2f0-7b1e-7c3a-9d55-6f1a2b3c4d61",
        event_id="0198c2f0-7b1e-7c3a-9d55-6f1a2b3c4d62",
        organizer_id="0198c2f0-7b1e-7c3a-9d55-6f1a2b3c4d63",
        user_id="0198c2f0-7b1e-7c3a-9d55-6f1a2b3c4d64",
        lines=[
            events_pb2.BookedLine(
                ticket_type_id="0198c2f0-7b1e-7c3a-9d55-6f1a2b3c4d60", quantity=2, unit_price=25000
            )
        ],
        total=50000,
        currency="EUR",
        ticket_ids=[
            "0198c2f0-7b1e-7c3a-9d55-6f1a2b3c4d5e",
            "0198c2f0-7b1e-7c3a-9d55-6f1a2b3c4d5f",
        ],
        version=1,
    )
    return MessageToJson(events_pb2.BookingConfirmed(booking=booking), indent=None)


def published(port: int) -> int:
    """Return the relay's counter of published messages."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        for line in response.read().decode().splitlines():
            if line.startswith(METRIC):
                return int(float(line.removeprefix(METRIC)))
    return 0


async def fill(connection: asyncpg.Connection, rows: int, sampled: bool) -> None:
    """Append `rows` messages, each of another aggregate."""
    partition = await connection.fetchval("SELECT gen_random_uuid()")
    flags = "01" if sampled else "00"
    headers = json.dumps({"traceparent": f"00-{'4b' * 16}-{'0a' * 8}-{flags}"})
    while rows > 0:
        step = min(rows, 50_000)
        await connection.execute(FILL, step, partition, payload(), headers, timeout=120)
        rows -= step


@asynccontextmanager
async def relay_process(
    dsn: str, amqp_url: str, path: str, log: Path
) -> AsyncIterator[tuple[int, int]]:
    """Run a relay of the platform in `path` (empty: installed); yield its ops port and pid."""
    port = free_port()
    env = {**os.environ, "DSN": dsn, "AMQP": amqp_url, "LISTEN": f"127.0.0.1:{port}"}
    if path:
        env["PYTHONPATH"] = path
    with log.open("ab") as stderr:
        relay = await asyncio.create_subprocess_exec(
            sys.executable, "-c", RELAY, env=env, stderr=stderr
        )
    try:
        yield port, relay.pid
    finally:
        relay.terminate()
        await relay.wait()


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def counter(port: int) -> int:
    """Return the relay's counter once the relay answers."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await asyncio.to_thread(published, port)
            except OSError:
                await asyncio.sleep(0.1)


async def refill(connection: asyncpg.Connection, port: int, setting: Setting, done: int) -> int:
    """Replace the published messages; return how many have been published."""
    now = await counter(port)
    if setting.pending <= COUNT_LIMIT:
        waiting = await connection.fetchval("SELECT count(*) FROM booking.outbox")
        await fill(connection, setting.pending - waiting, setting.sampled)
    elif setting.pending <= REFILL_LIMIT:
        await fill(connection, now - done, setting.sampled)
    return now


async def measure(
    servers: Servers, dsn: str, setting: Setting, arguments: argparse.Namespace
) -> Result:
    """Measure one case."""
    connection = await asyncpg.connect(dsn)
    waiting: int = await connection.fetchval("SELECT count(*) FROM booking.outbox", timeout=60)
    if waiting > setting.pending:
        await connection.execute("TRUNCATE booking.outbox")
        waiting = 0
    await fill(connection, setting.pending - waiting, setting.sampled)
    await connection.execute("ANALYZE booking.outbox", timeout=120)
    vhost = f"bench-{time.monotonic_ns()}"
    servers.rabbitmq.add_vhost(vhost)
    log = servers.folder / "relay.log"
    amqp_url = servers.rabbitmq.amqp_url(vhost)
    try:
        async with relay_process(dsn, amqp_url, setting.path, log) as (port, pid):
            done, began, first, cpu = 0, 0.0, 0, 0.0
            while began == 0.0 or (
                time.monotonic() - began < arguments.seconds and done - first < arguments.events
            ):
                await asyncio.sleep(REFILL_SECONDS)
                done = await refill(connection, port, setting, done)
                if began == 0.0 and done:
                    await asyncio.sleep(WARM_UP_SECONDS)
                    first, began, cpu = await counter(port), time.monotonic(), cpu_seconds(pid)
            events = await counter(port) - first
            return Result(
                rate=events / (time.monotonic() - began),
                cpu=(cpu_seconds(pid) - cpu) / max(events, 1) * 1e6,
            )
    finally:
        servers.rabbitmq.delete_vhost(vhost)
        await connection.close()


async def bench(arguments: argparse.Namespace) -> None:
    """Measure the cases alternately and print a line for each."""
    paths = {"now": ""} | dict(pair.split("=", 1) for pair in arguments.source)
    with private_servers() as servers:
        servers.postgres.create_database("bench")
        dsn = servers.postgres.dsn(SCHEMA, "bench")
        await migrate_up(dsn, "booking.migrations")
        for pending in sorted(arguments.pending, reverse=True):
            results: dict[str, list[Result]] = {name: [] for name in paths}
            for _ in range(arguments.rounds):
                for name, path in paths.items():
                    setting = Setting(name, path, pending, arguments.sampled)
                    results[name].append(await measure(servers, dsn, setting, arguments))
                    show(pending, name, results[name][-1:])
            for name in paths:
                show(pending, f"{name} (median)", results[name])


def show(pending: int, name: str, results: Sequence[Result]) -> None:
    """Print the median of results."""
    rate, cpu = median(each.rate for each in results), median(each.cpu for each in results)
    sys.stdout.write(
        f"{pending:>9} pending  {name:<18} {rate:7.0f}/s  {cpu:5.0f} µs CPU per message\n"
    )
    sys.stdout.flush()


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pending", type=int, nargs="+", default=[1_000, 20_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--sampled", action="store_true", help="every message is part of a sampled trace"
    )
    parser.add_argument("--source", action="append", default=[], metavar="NAME=DIR")
    asyncio.run(bench(parser.parse_args()))


if __name__ == "__main__":
    main()
