"""The cost of a booking: CPU time of booking and of PostgreSQL, by the shape of a batch.

    BOOKING_DATABASE_URL=… BOOKING_REDIS_URL=… python services/booking/benchmarks/create_bookings.py

The database is migrated and may be dropped afterwards; PostgreSQL runs on this machine.
Calls go through all layers but gRPC's transport: protobuf in, protobuf out. Other load on
the machine hardly changes CPU time. Compare bookings/s within one run only.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from uuid import UUID

import asyncpg
import uvloop
from booking.adapters.availability import RedisAvailability
from booking.adapters.ticket_codes import TicketSigner
from booking.application.booking_submitter import BookingSubmitter
from booking.application.commands.apply_event import apply_event
from booking.bootstrap import booking_context, open_bookings, open_submitter
from booking.config import ServeSettings
from booking.domain.event import CatalogEvent, Event, EventStatus, TicketTypeOffer
from booking.entrypoints.create_bookings import batch_create_bookings
from goticket.booking.v1 import booking_pb2 as pb
from goticket.common.v1.common_pb2 import Actor
from goticket_platform.ids import new_id
from goticket_platform.telemetry import configure_tracing
from goticket_testing.rpc_keys import caller_keys, rpc_key
from redis.asyncio import Redis

SECONDS = 2.0
ROUNDS = 2
LARGE_CAPACITY = 10**9
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Shape:
    """`calls` at a time of `size` requests each, spread over `events`."""

    name: str
    events: int
    size: int
    calls: int = 1
    sold_out: bool = False


SHAPES = (
    Shape("one event", 1, 1),
    Shape("one event", 1, 16),
    Shape("one event", 1, 64),
    Shape("one event", 1, 256),
    Shape("many events", 1_000, 64),
    Shape("many events", 1_000, 16, calls=4),
    Shape("many events", 1_000, 256),
    Shape("sold out", 1, 64, sold_out=True),
)


class NoCatalog:
    """Has no events, because booking knows them already."""

    async def get_events(self, event_ids: object) -> list[CatalogEvent]:
        """Return no event."""
        return []


def event_on_sale(capacity: int) -> CatalogEvent:
    """Make an event with one ticket type."""
    starts = datetime.now(UTC) + timedelta(days=30)
    event = Event(
        id=new_id(),
        organizer_id=new_id(),
        name="Metallica Live",
        location="Warsaw",
        timezone="Europe/Warsaw",
        starts_at=starts,
        ends_at=starts + timedelta(hours=3),
        currency="EUR",
        status=EventStatus.PUBLISHED,
        version=1,
    )
    return CatalogEvent(event, (TicketTypeOffer(new_id(), "Floor", 2500, capacity, 10),))


def request(number: int, event_id: str) -> pb.CreateBookingRequest:
    """Return a request for one ticket, with a key."""
    return pb.CreateBookingRequest(
        actor=Actor(
            user_id=str(UUID(int=number % 10_000)), email="buyer@example.com", name="A Buyer"
        ),
        event_id=event_id,
        lines=[pb.BookingLine(quantity=1)],
        idempotency_key=str(new_id()),
    )


@dataclass
class Cost:
    """Times in seconds for a number of results."""

    results: int
    wall: float
    booking: float
    postgres: float

    def __str__(self) -> str:
        return (
            f"{self.results / self.wall:8.0f}/s"
            f" {self.booking / self.results * 1e6:7.0f} us booking"
            f" {self.postgres / self.results * 1e6:7.0f} us PostgreSQL"
        )


async def measure(
    shape: Shape, submitter: BookingSubmitter, event_ids: Sequence[str], admin: asyncpg.Pool
) -> Cost:
    """Send batches for SECONDS; the time to make requests is not counted."""
    events = cycle(event_ids)
    numbers = iter(range(10**9))
    end, results, wall, cpu = time.perf_counter() + SECONDS, 0, 0.0, 0.0
    postgres = await _postgres_seconds(admin)
    while time.perf_counter() < end:
        batches = [_batch(shape, numbers, events) for _ in range(shape.calls)]
        began, spent = time.perf_counter(), time.process_time()
        responses = await asyncio.gather(*(_call(batch, submitter) for batch in batches))
        cpu += time.process_time() - spent
        wall += time.perf_counter() - began
        for response in responses:
            check_outcomes(response, "error" if shape.sold_out else "created")
            results += len(response.results)
    return Cost(results, wall, cpu, await _postgres_seconds(admin) - postgres)


def _batch(
    shape: Shape, numbers: Iterator[int], events: Iterator[str]
) -> list[pb.CreateBookingRequest]:
    return [
        request(number, event)
        for number, event in zip(islice(numbers, shape.size), events, strict=False)
    ]


async def _call(
    batch: list[pb.CreateBookingRequest], submitter: BookingSubmitter
) -> pb.BatchCreateBookingsResponse:
    deadline = asyncio.get_running_loop().time() + 10
    response = await batch_create_bookings(batch, submitter, deadline)
    response.SerializeToString()
    return response


async def _postgres_seconds(admin: asyncpg.Pool) -> float:
    """CPU time so far of the server processes that serve this database."""
    rows = await admin.fetch("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
    return sum(_cpu_seconds(row["pid"]) for row in rows)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def check_outcomes(response: pb.BatchCreateBookingsResponse, outcome: str) -> None:
    """Exit if a result is not the one that the shape expects."""
    for result in response.results:
        if result.WhichOneof("outcome") != outcome:
            raise SystemExit(f"not {outcome}: {result}")


async def main(dsn: str, redis_url: str, wanted: str) -> None:
    """Measure each shape a few times; report the cheapest round."""
    configure_tracing("booking", None, 1.0)
    settings = ServeSettings(
        database_url=dsn,
        redis_url=redis_url,
        grpc_listen="127.0.0.1:0",
        catalog_target="127.0.0.1:1",
        ticket_key=bytes(32),
        rpc_key=rpc_key("booking"),
        rpc_caller_keys=caller_keys("booking"),
    )
    signer = TicketSigner(bytes(32))
    async with (
        Redis.from_url(redis_url) as redis,
        open_bookings(dsn, RedisAvailability(redis), 10) as (bookings, pool),
    ):
        context = booking_context(bookings, NoCatalog(), signer, timedelta(minutes=10))
        async with open_submitter(settings, context, RedisAvailability(redis)) as submitter:
            for shape in SHAPES:
                label = f"{shape.name}, {shape.calls} x {shape.size}"
                if wanted not in label:
                    continue
                events = [event_on_sale(0 if shape.sold_out else LARGE_CAPACITY)] * shape.events
                if shape.events > 1:
                    events = [event_on_sale(LARGE_CAPACITY) for _ in events]
                for event in dict.fromkeys(events):
                    await apply_event(event, bookings=bookings)
                ids = [str(event.event.id) for event in events]
                rounds = [await measure(shape, submitter, ids, pool) for _ in range(ROUNDS)]
                best = min(rounds, key=lambda cost: cost.booking / cost.results)
                say(f"{label:26} {best}")


def say(text: str) -> None:
    """Print a line of the result."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(
        main(
            os.environ["BOOKING_DATABASE_URL"],
            os.environ["BOOKING_REDIS_URL"],
            sys.argv[1] if sys.argv[1:] else "",
        )
    )
