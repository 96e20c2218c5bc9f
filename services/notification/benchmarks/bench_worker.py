"""How many letters with tickets notification's workers hand to a local mail server a second.

    .venv/bin/python -m services.notification.benchmarks.bench_worker

The mail server says yes to everything, in a process of its own. Takes about a minute; rates
depend on what else runs, the processor time of a letter less. `--source before=DIR:DIR`
measures other code in the same run, on the same servers, in turns with this one.
"""

import argparse
import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import asyncpg
from google.protobuf import json_format
from goticket.booking.v1 import booking_pb2 as pb
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

START = datetime(2030, 6, 12, 17, 30, tzinfo=UTC)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
CODE_LENGTH = 154
WARM_UP_LETTERS = 50
PUBLISH_SECONDS = 60.0

SINK = """
import asyncio, sys
from aiosmtpd.smtp import SMTP
class Yes:
    async def handle_DATA(self, server, session, envelope):
        return "250 2.0.0 Ok"
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Yes(), hostname="sink.example", loop=loop), "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""

WORKER = "from notification.cli import main; main(['worker'])"


@dataclass(frozen=True)
class Result:
    """Letters a second, and milliseconds of processor time for each, by kind of process."""

    rate: float
    cpu: Mapping[str, float]

    def __str__(self) -> str:
        """One line for people."""
        shares = "  ".join(f"{kind} {cpu:.2f}" for kind, cpu in self.cpu.items())
        return f"{self.rate:6.1f} letters/s  CPU ms each: {shares}"


def a_code() -> str:
    """A ticket code of the form and length that booking signs."""
    return "GT1.7F3A9C01." + "".join(random.choices(ALPHABET, k=CODE_LENGTH))  # noqa: S311 - no key


def confirmed(tickets: int) -> events_pb2.BookingConfirmed:
    """A booking of some tickets that has just been confirmed."""
    event = pb.EventSnapshot(
        id=str(new_id()), name="Metallica Live", location="Berlin", timezone="Europe/Berlin"
    )
    event.starts_at.FromDatetime(START)
    event.ends_at.FromDatetime(START + timedelta(hours=3))
    line = pb.BookingItem(
        ticket_type_id="t1", ticket_type_name="Floor", quantity=tickets, unit_price=2500
    )
    booking = pb.Booking(
        id=str(new_id()),
        event_id=event.id,
        buyer_email="ada@buyers.example",
        buyer_name="Ada Lovelace",
        status=pb.BOOKING_STATUS_CONFIRMED,
        items=[line],
        total=2500 * tickets,
        currency="EUR",
        version=1,
        tickets=[
            pb.Ticket(
                id=str(new_id()),
                code=a_code(),
                ticket_type_id="t1",
                ticket_type_name="Floor",
                holder_name="Ada Lovelace",
            )
            for _ in range(tickets)
        ],
    )
    return events_pb2.BookingConfirmed(booking=booking, event=event)


def outgoing(tickets: int) -> OutgoingMessage:
    """The event of one booking as a relay sends it."""
    payload = confirmed(tickets)
    event = PublishedMessage(
        id=new_id(),
        type=BOOKING_CONFIRMED,
        source="/goticket/booking",
        subject=payload.booking.id,
        version=1,
        partition_key=payload.event.id,
        occurred_at=datetime.now(UTC),
        payload=json_format.MessageToJson(payload, indent=None),
    )
    return OutgoingMessage(event, {})


async def publish(amqp_url: str, letters: int, tickets: int) -> None:
    """Put the events of so many bookings into the queue."""
    async with open_channel(amqp_url, TOPOLOGY, name="bench") as (channel, exchange):
        publisher = await Publisher.on(channel, exchange.name)
        batch = [outgoing(tickets) for _ in range(letters)]
        for error in await publisher.publish(batch, PUBLISH_SECONDS):
            if error is not None:
                raise error


@asynccontextmanager
async def process(*arguments: str, log: Path, **environment: str) -> AsyncIterator[int]:
    """A Python process within the block; yields its pid."""
    with log.open("ab") as stderr:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", *arguments, env={**os.environ, **environment}, stderr=stderr
        )
    try:
        yield child.pid
    finally:
        child.terminate()
        await child.wait()


def processes() -> dict[int, tuple[int, float]]:
    """Parent and seconds used of the processors (user and system) of every process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = stat.read_text().partition(" ")
        except OSError:
            continue  # it has just ended
        fields = rest.rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        found[int(pid)] = (int(fields[1]), ticks / os.sysconf("SC_CLK_TCK"))
    return found


def cpu_seconds(kinds: Mapping[str, Collection[int]]) -> dict[str, float]:
    """What processes have used of the processors, by kind, and their children beside them."""
    everything = processes()
    used = {}
    for kind, pids in kinds.items():
        used[kind] = sum(everything[pid][1] for pid in pids)
        children = sum(cpu for parent, cpu in everything.values() if parent in pids)
        if children:
            used[f"{kind}'s children"] = children
    return used


async def sent(connection: asyncpg.Connection) -> int:
    """How many letters are noted as sent."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM notification.deliveries WHERE status = 'sent'"
    )
    return count


async def until(connection: asyncpg.Connection, letters: int) -> float:
    """Wait until so many letters are sent; return the clock."""
    async with asyncio.timeout(300):
        while await sent(connection) < letters:  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.05)
    return time.monotonic()


async def measure(
    servers: Servers, dsn: str, path: str, workers: int, arguments: argparse.Namespace
) -> Result:
    """Send letters, from when all workers are warm until the queue is empty."""
    vhost = f"bench-{time.monotonic_ns()}"
    servers.rabbitmq.add_vhost(vhost)
    amqp_url, port = servers.rabbitmq.amqp_url(vhost), free_port()
    environment = {
        "NOTIFICATION_DATABASE_URL": dsn,
        "NOTIFICATION_AMQP_URL": amqp_url,
        "NOTIFICATION_SMTP_HOST": "127.0.0.1",
        "NOTIFICATION_SMTP_PORT": str(port),
        "NOTIFICATION_SMTP_TLS": "none",
        "NOTIFICATION_SENDER": "GoTicket <tickets@goticket.example>",
        "NOTIFICATION_PUBLIC_URL": "https://goticket.example",
    }
    if path:
        environment["PYTHONPATH"] = path
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE notification.deliveries, notification.inbox")
    log = servers.folder / "bench.log"
    try:
        async with AsyncExitStack() as stack:
            sink = await stack.enter_async_context(process(SINK, str(port), log=log))
            pids = [
                await stack.enter_async_context(process(WORKER, log=log, **environment))
                for _ in range(workers)
            ]
            warm = WARM_UP_LETTERS * workers
            await publish(amqp_url, warm, arguments.tickets)
            await until(connection, warm)
            await publish(amqp_url, arguments.letters, arguments.tickets)
            remaining = warm + arguments.letters - await sent(connection)
            kinds = {"worker": pids, "sink": [sink]}
            began, before = time.monotonic(), cpu_seconds(kinds)
            ended = await until(connection, warm + arguments.letters)
            after = cpu_seconds(kinds)
            cpu = {kind: (after[kind] - before[kind]) / remaining * 1000 for kind in after}
            return Result(remaining / (ended - began), cpu)
    finally:
        servers.rabbitmq.delete_vhost(vhost)
        await connection.close()


async def bench(arguments: argparse.Namespace) -> None:
    """Measure every setting in turns and print a line for each."""
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
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--letters", type=int, default=2000)
    parser.add_argument("--tickets", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--source", action="append", default=[], metavar="NAME=PATH")
    asyncio.run(bench(parser.parse_args()))


if __name__ == "__main__":
    main()
