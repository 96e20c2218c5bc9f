"""How fast bookings of two tickets for one event are placed, by size of batch and by lanes.

    BOOKING_DATABASE_URL=… python services/booking/benchmarks/place.py

The database is migrated and may be thrown away. It prints bookings/s and milliseconds
per batch; compare figures of one run only.
"""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from booking.adapters.availability import NoAvailability
from booking.adapters.ticket_codes import TicketSigner
from booking.application.apply_event import apply_event
from booking.application.desk import Desk, GroupCommit, OneByOne
from booking.application.lanes import Lanes
from booking.application.order import Order
from booking.application.place_bookings import (
    BoxOffice,
    Outcome,
    Placed,
    place_bookings,
    place_orders,
)
from booking.bootstrap import box_office, open_bookings
from booking.domain.actor import Actor
from booking.domain.event import CatalogEvent, Event, EventStatus, TicketTypeOffer
from booking.domain.placing import BookingRequest, Line
from goticket_platform.ids import new_id
from goticket_platform.postgres import is_transient

SECONDS = 3.0
SIZES = (1, 16, 64, 256)
CLIENTS = 64
ROUNDS = 2


class NoCatalog:
    """Knows nothing: the event is on sale already."""

    async def get_events(self, event_ids: object) -> list[CatalogEvent]:
        """Find nothing."""
        return []


def event_on_sale() -> CatalogEvent:
    """Make an event with one ticket type and more tickets than a run can sell."""
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
    return CatalogEvent(event, (TicketTypeOffer(new_id(), "Floor", 2500, 10**9, 10),))


def wish(number: int) -> BookingRequest:
    """Ask for two tickets."""
    buyer = Actor(UUID(int=number % 10_000), "buyer@example.com", "A Buyer", frozenset())
    return BookingRequest(buyer, (Line(None, 2),), key=str(new_id()))


async def in_batches(office: BoxOffice, event_id: UUID, size: int) -> tuple[float, float, float]:
    """Place batches of `size` one after the other.

    Return bookings/s, ms per batch, and microseconds of this process's CPU per booking,
    which is the figure that other load on the machine leaves alone.
    """
    began, cpu, done = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < SECONDS:
        outcomes = await place_bookings(event_id, [wish(n) for n in range(size)], office)
        done += must_be_placed(outcomes)
    spent = time.perf_counter() - began
    return done / spent, spent / (done / size) * 1e3, (time.process_time() - cpu) / done * 1e6


async def by_clients(desk: Desk, event_id: UUID) -> float:
    """Let CLIENTS ask for one booking after the other; return bookings/s."""
    end, done = time.perf_counter() + SECONDS, 0

    async def client(number: int) -> None:
        nonlocal done
        while time.perf_counter() < end:
            deadline = asyncio.get_running_loop().time() + 10
            outcomes = await desk.ask(event_id, [wish(number)], deadline)
            done += must_be_placed(outcomes)

    began = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return done / (time.perf_counter() - began)


def must_be_placed(outcomes: list[Outcome] | list[Outcome | Exception]) -> int:
    """Count granted requests; there must be no others."""
    for outcome in outcomes:
        if not isinstance(outcome, Placed):
            raise SystemExit(f"not placed: {outcome!r}")
    return len(outcomes)


async def main(dsn: str) -> None:
    """Run everything a few times; the best round counts."""
    async with open_bookings(dsn, NoAvailability(), 10) as (bookings, _):
        office = box_office(bookings, NoCatalog(), TicketSigner(bytes(32)), timedelta(minutes=10))
        event = event_on_sale()
        await apply_event(event, bookings=bookings)
        for size in SIZES:
            rounds = [await in_batches(office, event.event.id, size) for _ in range(ROUNDS)]
            rate, millis, cpu = max(rounds)
            say(
                f"batches of {size:>3}: {rate:8.0f} bookings/s {millis:8.2f} ms a batch"
                f" {cpu:6.0f} us CPU a booking"
            )
        single = max([await by_clients(OneByOne(office), event.event.id) for _ in range(ROUNDS)])
        say(f"{CLIENTS} clients, one transaction each: {single:8.0f} bookings/s")

        lanes: Lanes[Order, Outcome] = Lanes(
            partial(place_orders, office=office), is_transient=is_transient
        )
        grouped = max(
            [await by_clients(GroupCommit(office, lanes), event.event.id) for _ in range(ROUNDS)]
        )
        say(f"{CLIENTS} clients, lanes:                {grouped:8.0f} bookings/s", end=" ")
        say(f"({grouped / single:.1f} times)")


def say(text: str, end: str = "\n") -> None:
    """Print a line of the result."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(os.environ["BOOKING_DATABASE_URL"]))
