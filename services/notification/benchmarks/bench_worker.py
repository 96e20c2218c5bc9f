"""Measures how many e-mails with tickets notification's workers send per second.

    .venv/bin/python -m services.notification.benchmarks.bench_worker

SMTP server and booking service are stubs in processes of their own. A run takes about a minute.
Rates depend on the machine's other load; CPU time per e-mail depends on it less.
`--source before=DIR:DIR` measures other code in the same run, on the same servers, in turns.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import asyncpg
from google.protobuf import json_format
from goticket.booking.v1 import events_pb2
from goticket_contracts.event_types import BOOKING_CONFIRMED
from goticket_contracts.topology import TOPOLOGY
from goticket_local.ports import free_port
from goticket_platform.ids import new_id
from goticket_platform.messaging.broker import open_channel
from goticket_platform.messaging.cloudevents import PublishedMessage
from goticket_platform.messaging.publisher import OutgoingMessage, Publisher
from goticket_platform.migrations import migrate_up

from libs.platform.benchmarks.servers import Servers, private_servers

WARM_UP_EMAILS = 50
TOKEN = "the benchmark's token, which the stub ignores"  # noqa: S105 - no secret
PUBLISH_SECONDS = 60.0

SINK = """
import asyncio, sys
from aiosmtpd.smtp import SMTP
class AcceptAll:
    async def handle_DATA(self, server, session, envelope):
        return "250 2.0.0 Ok"
async def main():
    loop = asyncio.get_running_loop()
    def session():
        return SMTP(AcceptAll(), hostname="sink.example", loop=loop)
    server = await loop.create_server(session, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""

STUB = "services.notification.benchmarks.booking_stub"
WORKER = "from notification.cli import main; main(['worker'])"


@dataclass(frozen=True)
class Result:
    """E-mails per second, and milliseconds of CPU time per e-mail, by kind of process."""

    rate: float
    cpu: Mapping[str, float]

    def __str__(self) -> str:
        """Return one line for the terminal."""
        shares = "  ".join(f"{kind} {cpu:.2f}" for kind, cpu in self.cpu.items())
        return f"{self.rate:6.1f} e-mails/s  CPU ms per e-mail: {shares}"


def outgoing() -> OutgoingMessage:
    """Return the message of one confirmed booking, as a relay sends it."""
    state = events_pb2.BookingState(
        id=str(new_id()), event_id=str(new_id()), user_id=str(new_id()), version=1
    )
    message = PublishedMessage(
        id=new_id(),
        type=BOOKING_CONFIRMED,
        source="/goticket/booking",
        subject=state.id,
        version=1,
        partition_key=state.event_id,
        occurred_at=datetime.now(UTC),
        payload=json_format.MessageToJson(events_pb2.BookingConfirmed(booking=state), indent=None),
    )
    return OutgoingMessage(message, {})


async def publish(amqp_url: str, count: int) -> None:
    """Publish the messages of `count` bookings."""
    async with open_channel(amqp_url, TOPOLOGY, name="bench") as (channel, exchange):
        publisher = await Publisher.on(channel, exchange.name)
        batch = [outgoing() for _ in range(count)]
        for error in await publisher.publish(batch, PUBLISH_SECONDS):
            if error is not None:
                raise error


@asynccontextmanager
async def process(*arguments: str, log: Path, **environment: str) -> AsyncIterator[int]:
    """Run a Python process within the block; yield its pid."""
    with log.open("ab") as stderr:
        child = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env={**os.environ, **environment}, stderr=stderr
        )
    try:
        yield child.pid
    finally:
        child.terminate()
        await child.wait()


def processes() -> dict[int, tuple[int, float]]:
    """Return parent and CPU seconds (user and system) of every process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = stat.read_text().partition(" ")
        except OSError:
            continue  # the process has just ended
        fields = rest.rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        found[int(pid)] = (int(fields[1]), ticks / os.sysconf("SC_CLK_TCK"))
    return found


def cpu_seconds(kinds: Mapping[str, Collection[int]]) -> dict[str, float]:
    """Return the CPU seconds of processes, and of their children, by kind."""
    everything = processes()
    used = {}
    for kind, pids in kinds.items():
        used[kind] = sum(everything[pid][1] for pid in pids)
        children = sum(cpu for parent, cpu in everything.values() if parent in pids)
        if children:
            used[f"{kind}'s children"] = children
    return used


async def sent(connection: asyncpg.Connection) -> int:
    """Return the number of sent deliveries."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM notification.deliveries WHERE status = 'sent'"
    )
    return count


async def until(connection: asyncpg.Connection, count: int) -> float:
    """Wait until `count` e-mails are sent; return the clock."""
    async with asyncio.timeout(300):
        while await sent(connection) < count:  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.05)
    return time.monotonic()


async def measure(
    servers: Servers, dsn: str, path: str, workers: int, arguments: argparse.Namespace
) -> Result:
    """Measure from the time when all workers are warm until the queue is empty."""
    vhost = f"bench-{time.monotonic_ns()}"
    servers.rabbitmq.add_vhost(vhost)
    amqp_url = servers.rabbitmq.amqp_url(vhost)
    port, booking_port = free_port(), free_port()
    environment = {
        "NOTIFICATION_DATABASE_URL": dsn,
        "NOTIFICATION_AMQP_URL": amqp_url,
        "NOTIFICATION_BOOKING_TARGET": f"127.0.0.1:{booking_port}",
        "NOTIFICATION_BOOKING_TOKEN": TOKEN,
        "NOTIFICATION_SMTP_HOST": "127.0.0.1",
        "NOTIFICATION_SMTP_PORT": str(port),
        "NOTIFICATION_SMTP_TLS": "none",
        "NOTIFICATION_SENDER": "GoTicket <tickets@goticket.example>",
        "NOTIFICATION_PUBLIC_URL": "https://goticket.example",
    }
    if path:
        environment["PYTHONPATH"] = path
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE notification.deliveries")
    log = servers.folder / "bench.log"
    try:
        async with AsyncExitStack() as stack:
            sink = await stack.enter_async_context(process("-c", SINK, str(port), log=log))
            stub = await stack.enter_async_context(
                process("-m", STUB, str(booking_port), str(arguments.tickets), log=log)
            )
            pids = [
                await stack.enter_async_context(process("-c", WORKER, log=log, **environment))
                for _ in range(workers)
            ]
            warm = WARM_UP_EMAILS * workers
            await publish(amqp_url, warm)
            await until(connection, warm)
            await publish(amqp_url, arguments.emails)
            remaining = warm + arguments.emails - await sent(connection)
            kinds = {"worker": pids, "SMTP": [sink], "booking": [stub]}
            began, before = time.monotonic(), cpu_seconds(kinds)
            ended = await until(connection, warm + arguments.emails)
            after = cpu_seconds(kinds)
            cpu = {kind: (after[kind] - before[kind]) / remaining * 1000 for kind in after}
            return Result(remaining / (ended - began), cpu)
    finally:
        servers.rabbitmq.delete_vhost(vhost)
        await connection.close()


async def bench(arguments: argparse.Namespace) -> None:
    """Measure every configuration in turns and print a line for each."""
    paths = {"now": ""} | dict(pair.split("=", 1) for pair in arguments.source)
    with private_servers() as servers:
        servers.postgres.create_database("bench")
        dsn = servers.postgres.dsn("notification", "bench")
        await migrate_up(dsn, "notification.migrations")
        rates: dict[tuple[str, int], list[float]] = {}
        for _ in range(arguments.rounds):
            for workers in arguments.workers:
                for name, path in paths.items():
                    result = await measure(servers, dsn, path, workers, arguments)
                    rates.setdefault((name, workers), []).append(result.rate)
                    show(f"{workers} worker(s)  {name:<8} {result}")
        first = arguments.workers[0]
        for (name, workers), found in rates.items():
            ratio = median(found) / median(rates[name, first])
            show(f"{name:<8} {workers} : {first} worker(s) = {ratio:.2f}")


def show(line: str) -> None:
    """Print a line without buffering."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--emails", type=int, default=2000)
    parser.add_argument("--tickets", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--source", action="append", default=[], metavar="NAME=PATH")
    asyncio.run(bench(parser.parse_args()))


if __name__ == "__main__":
    main()
