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
from booking.application.place_orders import Placed
from booking.application.ports import Sale
from booking.domain.actor import Actor
from booking.domain.booking import BookingStatus
from booking.domain.errors import (
    DomainError,
    EventCancelled,
    EventNotFound,
    EventOver,
    SoldOut,
)
from booking.domain.event import CatalogEvent, EventStatus
from booking.domain.placing import BookingRequest, place
from goticket_platform.ids import new_id

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import Hall, OpenReplica

People = Callable[..., Actor]
Wishes = Callable[..., BookingRequest]


def answers(outcomes: list[Placed | DomainError]) -> list[str]:
    return [
        outcome.code if isinstance(outcome, DomainError) else outcome.booking.status.value
        for outcome in outcomes
    ]


async def test_a_booking_is_confirmed_at_once_with_tickets_that_verify(
    hall: "Hall", wish: Wishes
) -> None:
    event = await hall.open_event(10)
    booking = await hall.book(event, wish(2))
    stored = await hall.bookings.find_booking(booking.id)
    assert stored is not None
    assert stored.booking == booking
    assert stored.event == event.event
    assert (booking.status, booking.total, booking.version) == (BookingStatus.CONFIRMED, 5000, 1)
    for ticket in booking.tickets:
        claims = verify(ticket.code, hall.signer.public_keys)
        assert (claims.ticket_id, claims.event_id) == (ticket.id, event.event.id)
    assert await hall.counts(event) == [(0, 2)]
    assert await hall.outbox("confirmed") == 1
    await hall.must_add_up()


async def test_a_hold_sets_stock_aside_without_tickets(hall: "Hall", wish: Wishes) -> None:
    event = await hall.open_event(10)
    booking = await hall.book(event, wish(2, hold=True))
    assert booking.tickets == ()
    assert booking.expires_at == hall.clock.time + timedelta(minutes=10)
    assert await hall.counts(event) == [(2, 0)]
    assert (await hall.outbox("held"), await hall.outbox("confirmed")) == (1, 0)


async def test_many_ticket_types_are_granted_all_or_none(hall: "Hall", wish: Wishes) -> None:
    event = await hall.open_event(5, 1)
    seats, boxes = (offer.id for offer in event.offers)
    booking = await hall.book(event, wish(lines=[(boxes, 1), (seats, 2)]))
    assert [item.ticket_type_id for item in booking.items] == [boxes, seats]
    [refused] = await hall.ask(event, wish(lines=[(seats, 1), (boxes, 1)]))
    assert isinstance(refused, SoldOut)
    assert refused.metadata == {"ticketTypeId": str(boxes), "available": "0"}
    assert await hall.counts(event) == [(0, 2), (0, 1)]


async def test_a_batch_decides_in_order_and_one_bad_request_fails_no_neighbour(
    hall: "Hall", wish: Wishes, person: People
) -> None:
    event = await hall.open_event(6)
    outcomes = await hall.ask(
        event,
        wish(2),
        wish(0),
        wish(11),
        wish(lines=[(new_id(), 1)]),
        wish(5),  # too many: must not block the smaller ones behind it
        wish(3, hold=True, buyer=person(2)),
        wish(1),
        wish(1),
    )
    assert answers(outcomes) == [
        "confirmed",
        "validation_failed",
        "max_per_booking_exceeded",
        "unknown_ticket_type",
        "sold_out",
        "held",
        "confirmed",
        "sold_out",
    ]
    assert await hall.counts(event) == [(3, 3)]
    await hall.must_add_up()


async def test_two_hundred_buyers_at_a_barrier_get_exactly_a_hundred_tickets(
    hall: "Hall", wish: Wishes, person: People, open_replica: "OpenReplica"
) -> None:
    event = await hall.open_event(100)
    replicas = [hall.another_office((await open_replica(5))[0]) for _ in range(4)]
    barrier = asyncio.Barrier(200)

    async def buy(number: int) -> str:
        await barrier.wait()
        outcomes = await hall.ask(
            event, wish(1, buyer=person(number)), office=replicas[number % len(replicas)]
        )
        return answers(outcomes)[0]

    results = Counter(await asyncio.gather(*(buy(number) for number in range(1, 201))))
    assert results == {"confirmed": 100, "sold_out": 100}
    assert await hall.counts(event) == [(0, 100)]
    assert await hall.outbox("confirmed") == 100
    await hall.must_add_up()


async def test_nothing_can_be_had_of_events_that_are_not_on_sale(
    hall: "Hall", wish: Wishes
) -> None:
    draft = hall.announce(10, status=EventStatus.DRAFT)
    cancelled = hall.announce(10, status=EventStatus.CANCELLED)
    over = await hall.open_event(10)
    hall.clock.time = over.event.ends_at
    expected: list[tuple[CatalogEvent, type[DomainError]]] = [
        (draft, EventNotFound),
        (cancelled, EventCancelled),
        (over, EventOver),
    ]
    for event, error in expected:
        [refused] = await hall.ask(event, wish(1))
        assert type(refused) is error


async def test_the_database_refuses_to_oversell_whatever_the_code_does(
    hall: "Hall", wish: Wishes
) -> None:
    event = await hall.open_event(1)
    with pytest.raises(asyncpg.CheckViolationError, match="inventory_never_oversold"):
        await hall.pool.execute("UPDATE booking.inventory SET held = 1, sold = 1")

    async def take_too_many() -> None:
        async with hall.bookings.transaction() as transaction:
            stock = await transaction.lock_stock(event.event.id, None)
            assert stock is not None
            next(iter(stock.ticket_types.values())).capacity = 100
            placed = place(
                wish(2),
                stock,
                booking_id=new_id(),
                now=hall.clock(),
                hold_for=timedelta(minutes=1),
                issue=hall.office.issue,
            )
            await transaction.add([Sale(placed)], [stock])

    with pytest.raises(SoldOut):
        await take_too_many()
    assert (await hall.rows())["bookings"] == 0


async def test_each_event_carries_the_trace_of_its_own_request(
    hall: "Hall", wish: Wishes, person: People
) -> None:
    event = await hall.open_event(10)
    traces = [{"traceparent": f"00-{number:032x}-{1:016x}-01"} for number in (1, 2)]
    await hall.ask(
        event,
        *(
            replace(wish(buyer=person(number)), trace=trace)
            for number, trace in enumerate(traces, start=1)
        ),
    )
    rows = await hall.pool.fetch(
        "SELECT b.user_id, o.headers->>'traceparent' AS parent FROM booking.outbox AS o"
        " JOIN booking.bookings AS b ON b.id = o.aggregate_id ORDER BY b.user_id"
    )
    assert [row["parent"] for row in rows] == [trace["traceparent"] for trace in traces]
