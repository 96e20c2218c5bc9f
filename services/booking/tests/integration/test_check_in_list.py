"""The check-in list: versions in commit order, deltas that miss nothing."""

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from booking.application.booking_context import CreatedBooking
from booking.application.commands.cancel_booking import cancel_booking
from booking.application.ports import CheckInPosition
from booking.domain.booking import TicketStatus
from booking.domain.booking_creation import CreateBookingCommand
from goticket_kernel.actor import Actor

if TYPE_CHECKING:
    from booking.adapters.postgres.bookings import PostgresBookings

    from services.booking.tests.integration.conftest import BookingSystem, OpenReplica

WRITERS = 12
ROUNDS = 6
PAGE = 7

Entry = tuple[str, str]
"""Status and holder's name of a ticket."""


async def read_changes(
    bookings: "PostgresBookings", event_id: UUID, since: int
) -> tuple[int, dict[UUID, Entry]]:
    """Read the list as the gateway does: the version first, then pages up to it."""
    version = await bookings.check_in_version(event_id)
    changes: dict[UUID, Entry] = {}
    for status in TicketStatus:
        after = CheckInPosition(since + 1, UUID(int=0))
        while True:
            page = await bookings.check_in_tickets(event_id, status, after, version, PAGE)
            changes |= {each.id: (each.status.value, each.holder_name) for each in page}
            if len(page) < PAGE:
                break
            after = CheckInPosition(page[-1].version, page[-1].id)
    return version, changes


async def test_a_reader_of_deltas_ends_with_the_full_list_under_concurrent_writers(
    system: "BookingSystem",
    command: Callable[..., CreateBookingCommand],
    user: Callable[..., Actor],
    open_replica: "OpenReplica",
) -> None:
    event = await system.open_event(1_000, 1_000, 1_000)
    replicas = [await open_replica(4) for _ in range(3)]
    running = WRITERS

    async def write(number: int) -> None:
        nonlocal running
        bookings, _ = replicas[number % len(replicas)]
        context = system.new_context(bookings)
        chance = random.Random(number)
        for _ in range(ROUNDS):
            offer = event.offers[chance.randrange(3)]
            wanted = command(lines=[(offer.id, chance.randint(1, 3))], buyer=user(number + 1))
            [created] = await system.create(event, wanted, context=context)
            assert isinstance(created, CreatedBooking)
            if chance.random() < 0.5:
                await cancel_booking(
                    created.booking.id, user(number + 1), bookings=bookings, now=system.clock
                )
        running -= 1

    async def follow() -> tuple[int, dict[UUID, Entry]]:
        known: dict[UUID, Entry] = {}
        since = 0
        while True:
            finished = not running
            version, changes = await read_changes(system.bookings, event.event.id, since)
            assert version >= since
            known |= changes
            since = version
            if finished:
                return since, known

    async with asyncio.TaskGroup() as tasks:
        for number in range(WRITERS):
            tasks.create_task(write(number))
        follower = tasks.create_task(follow())
    version, known = follower.result()
    assert (version, known) == await read_changes(system.bookings, event.event.id, 0)
    rows = await system.pool.fetch("SELECT id, status FROM booking.tickets")
    assert {row["id"]: row["status"] for row in rows} == {
        ticket_id: status for ticket_id, (status, _) in known.items()
    }
    assert {"valid", "void"} == {status for status, _ in known.values()}


async def test_a_delta_has_only_what_has_changed(
    system: "BookingSystem",
    command: Callable[..., CreateBookingCommand],
    user: Callable[..., Actor],
) -> None:
    event = await system.open_event(10)
    first = await system.book(event, command(2, buyer=user(1)))
    version, everything = await read_changes(system.bookings, event.event.id, 0)
    assert everything == {ticket.id: ("valid", "Buyer 1") for ticket in first.tickets}
    assert await read_changes(system.bookings, event.event.id, version) == (version, {})
    second = await system.book(event, command(1, buyer=user(2)))
    await cancel_booking(first.id, user(1), bookings=system.bookings, now=system.clock)
    _, delta = await read_changes(system.bookings, event.event.id, version)
    assert delta == {
        **{ticket.id: ("void", "Buyer 1") for ticket in first.tickets},
        second.tickets[0].id: ("valid", "Buyer 2"),
    }
    await system.book(event, command(1, hold=True))
    assert (await read_changes(system.bookings, event.event.id, version))[1] == delta
