"""Booking tickets on a real PostgreSQL: grants, refusals, and the race for the last ones."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest
from booking.adapters.ticket_codes import verify
from booking.application.booking_context import CreatedBooking
from booking.application.ports import Sale
from goticket_kernel.actor import Actor
from booking.domain.booking import BookingStatus
from booking.domain.errors import (
    DomainError,
    EventCancelled,
    EventNotFound,
    EventOver,
    SoldOut,
)
from booking.domain.event import CatalogEvent, EventStatus
from booking.domain.booking_creation import CreateBookingCommand, place
from goticket_platform.ids import new_id

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem, OpenReplica

Users = Callable[..., Actor]
Commands = Callable[..., CreateBookingCommand]


def answers(results: list[CreatedBooking | DomainError]) -> list[str]:
    return [
        result.code if isinstance(result, DomainError) else result.booking.status.value
        for result in results
    ]


async def test_a_booking_is_confirmed_at_once_with_tickets_that_verify(
    system: "BookingSystem", command: Commands
) -> None:
    event = await system.open_event(10)
    booking = await system.book(event, command(2))
    stored = await system.bookings.find_booking(booking.id)
    assert stored is not None
    assert stored.booking == booking
    assert stored.event == event.event
    assert (booking.status, booking.total, booking.version) == (BookingStatus.CONFIRMED, 5000, 1)
    for ticket in booking.tickets:
        claims = verify(ticket.code, system.signer.public_keys)
        assert (claims.ticket_id, claims.event_id) == (ticket.id, event.event.id)
    assert await system.counts(event) == [(0, 2)]
    assert await system.outbox_count("confirmed") == 1
    await system.assert_consistent()


async def test_a_hold_sets_stock_aside_without_tickets(system: "BookingSystem", command: Commands) -> None:
    event = await system.open_event(10)
    booking = await system.book(event, command(2, hold=True))
    assert booking.tickets == ()
    assert booking.expires_at == system.clock.time + timedelta(minutes=10)
    assert await system.counts(event) == [(2, 0)]
    assert (await system.outbox_count("held"), await system.outbox_count("confirmed")) == (1, 0)


async def test_many_ticket_types_are_granted_all_or_none(system: "BookingSystem", command: Commands) -> None:
    event = await system.open_event(5, 1)
    seats, boxes = (offer.id for offer in event.offers)
    booking = await system.book(event, command(lines=[(boxes, 1), (seats, 2)]))
    assert [item.ticket_type_id for item in booking.items] == [boxes, seats]
    [refused] = await system.create(event, command(lines=[(seats, 1), (boxes, 1)]))
    assert isinstance(refused, SoldOut)
    assert refused.metadata == {"ticketTypeId": str(boxes), "available": "0"}
    assert await system.counts(event) == [(0, 2), (0, 1)]


async def test_a_batch_decides_in_order_and_one_bad_request_fails_no_neighbour(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    event = await system.open_event(6)
    results = await system.create(
        event,
        command(2),
        command(0),
        command(11),
        command(lines=[(new_id(), 1)]),
        command(5),  # too many: must not block the smaller ones behind it
        command(3, hold=True, buyer=user(2)),
        command(1),
        command(1),
    )
    assert answers(results) == [
        "confirmed",
        "validation_failed",
        "max_per_booking_exceeded",
        "unknown_ticket_type",
        "sold_out",
        "held",
        "confirmed",
        "sold_out",
    ]
    assert await system.counts(event) == [(3, 3)]
    await system.assert_consistent()


async def test_two_hundred_buyers_at_a_barrier_get_exactly_a_hundred_tickets(
    system: "BookingSystem", command: Commands, user: Users, open_replica: "OpenReplica"
) -> None:
    event = await system.open_event(100)
    replicas = [system.new_context((await open_replica(5))[0]) for _ in range(4)]
    barrier = asyncio.Barrier(200)

    async def buy(number: int) -> str:
        await barrier.wait()
        results = await system.create(
            event, command(1, buyer=user(number)), context=replicas[number % len(replicas)]
        )
        return answers(results)[0]

    results = Counter(await asyncio.gather(*(buy(number) for number in range(1, 201))))
    assert results == {"confirmed": 100, "sold_out": 100}
    assert await system.counts(event) == [(0, 100)]
    assert await system.outbox_count("confirmed") == 100
    await system.assert_consistent()


async def test_nothing_can_be_had_of_events_that_are_not_on_sale(
    system: "BookingSystem", command: Commands
) -> None:
    draft = system.add_to_catalog(10, status=EventStatus.DRAFT)
    cancelled = system.add_to_catalog(10, status=EventStatus.CANCELLED)
    over = await system.open_event(10)
    system.clock.time = over.event.ends_at
    expected: list[tuple[CatalogEvent, type[DomainError]]] = [
        (draft, EventNotFound),
        (cancelled, EventCancelled),
        (over, EventOver),
    ]
    for event, error in expected:
        [refused] = await system.create(event, command(1))
        assert type(refused) is error


async def test_the_database_refuses_to_oversell_whatever_the_code_does(
    system: "BookingSystem", command: Commands
) -> None:
    event = await system.open_event(1)
    with pytest.raises(asyncpg.CheckViolationError, match="inventory_never_oversold"):
        await system.pool.execute("UPDATE booking.inventory SET held = 1, sold = 1")

    async def take_too_many() -> None:
        async with system.bookings.transaction() as transaction:
            stock = await transaction.lock_stock(event.event.id, None)
            assert stock is not None
            next(iter(stock.ticket_types.values())).capacity = 100
            placed = place(
                command(2),
                stock,
                booking_id=new_id(),
                now=system.clock(),
                hold_for=timedelta(minutes=1),
                issue=system.context.issue,
            )
            await transaction.add([Sale(placed)], [stock])

    with pytest.raises(SoldOut):
        await take_too_many()
    assert (await system.row_counts())["bookings"] == 0


async def test_each_event_carries_the_trace_of_its_own_request(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    event = await system.open_event(10)
    traces = [{"traceparent": f"00-{number:032x}-{1:016x}-01"} for number in (1, 2)]
    await system.create(
        event,
        *(
            replace(command(buyer=user(number)), trace=trace)
            for number, trace in enumerate(traces, start=1)
        ),
    )
    rows = await system.pool.fetch(
        "SELECT b.user_id, o.headers->>'traceparent' AS parent FROM booking.outbox AS o"
        " JOIN booking.bookings AS b ON b.id = o.aggregate_id ORDER BY b.user_id"
    )
    assert [row["parent"] for row in rows] == [trace["traceparent"] for trace in traces]
