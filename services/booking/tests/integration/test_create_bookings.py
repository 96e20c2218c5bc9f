"""Creation of bookings on a real PostgreSQL: grants, rejections and races."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest
from booking.application.booking_context import BookingResult, CreatedBooking
from booking.application.commands.commit_bookings import commit_bookings
from booking.application.commands.prepare_booking import prepare_booking
from booking.application.ports import NewBooking
from booking.domain.booking import BookingStatus
from booking.domain.booking_creation import CreateBookingCommand, decide_booking
from booking.domain.errors import (
    EventCancelled,
    EventNotFound,
    EventOver,
    SoldOut,
)
from booking.domain.event import CatalogEvent, EventStatus
from goticket_kernel.actor import Actor
from goticket_kernel.errors import DomainError
from goticket_platform.ids import new_id

if TYPE_CHECKING:
    from services.booking.tests.conftest import ReadTicketCode
    from services.booking.tests.integration.conftest import BookingSystem, CommandsFor, OpenReplica

Users = Callable[..., Actor]
Commands = Callable[..., CreateBookingCommand]


def outcomes(results: list[BookingResult]) -> list[str]:
    return [
        result.booking.status.value if isinstance(result, CreatedBooking) else result.code
        for result in results
        if isinstance(result, CreatedBooking | DomainError)
    ]


async def test_a_booking_is_confirmed_at_once_with_tickets_that_verify(
    system: "BookingSystem", command: Commands, read_ticket_code: "ReadTicketCode"
) -> None:
    event = await system.open_event(10)
    booking = await system.book(event, command(2))
    stored = await system.bookings.find_booking(booking.id)
    assert stored is not None
    assert stored.booking == booking
    assert stored.event == event.event
    assert (booking.status, booking.total, booking.version) == (BookingStatus.CONFIRMED, 5000, 1)
    for ticket in booking.tickets:
        claims = read_ticket_code(ticket.code, system.signer.public_keys)
        assert claims is not None
        assert (claims.ticket_id, claims.event_id) == (ticket.id, event.event.id)
    assert await system.counts(event) == [(0, 2)]
    assert await system.outbox_count("confirmed") == 1
    await system.assert_consistent()


async def test_a_hold_takes_inventory_without_tickets(
    system: "BookingSystem", command: Commands
) -> None:
    event = await system.open_event(10)
    booking = await system.book(event, command(2, hold=True))
    assert booking.tickets == ()
    assert booking.expires_at == system.clock.time + timedelta(minutes=10)
    assert await system.counts(event) == [(2, 0)]
    assert (await system.outbox_count("held"), await system.outbox_count("confirmed")) == (1, 0)


async def test_all_ticket_types_of_a_command_are_granted_or_none(
    system: "BookingSystem", command: Commands
) -> None:
    event = await system.open_event(5, 1)
    seats, boxes = (offer.id for offer in event.offers)
    booking = await system.book(event, command(lines=[(boxes, 1), (seats, 2)]))
    assert [item.ticket_type_id for item in booking.items] == [boxes, seats]
    [rejected] = await system.create(event, command(lines=[(seats, 1), (boxes, 1)]))
    assert isinstance(rejected, SoldOut)
    assert rejected.metadata == {"ticket_type_id": str(boxes), "available": "0"}
    assert await system.counts(event) == [(0, 2), (0, 1)]


async def test_a_batch_is_decided_in_order_and_each_command_fails_on_its_own(
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
    assert outcomes(results) == [
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
        return outcomes(results)[0]

    results = Counter(await asyncio.gather(*(buy(number) for number in range(1, 201))))
    assert results == {"confirmed": 100, "sold_out": 100}
    assert await system.counts(event) == [(0, 100)]
    assert await system.outbox_count("confirmed") == 100
    await system.assert_consistent()


async def test_an_event_that_is_not_on_sale_has_no_bookings(
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
        [rejected] = await system.create(event, command(1))
        assert type(rejected) is error


async def test_the_database_rejects_overselling(system: "BookingSystem", command: Commands) -> None:
    event = await system.open_event(1)
    with pytest.raises(asyncpg.CheckViolationError, match="inventory_never_oversold"):
        await system.pool.execute("UPDATE booking.inventory SET held = 1, sold = 1")

    async def reserve_too_many() -> None:
        async with system.bookings.transaction() as transaction:
            inventory = await transaction.inventory.lock(event.event.id)
            assert inventory is not None
            next(iter(inventory.ticket_types.values())).capacity = 100
            granted = decide_booking(
                command(2),
                inventory,
                booking_id=new_id(),
                now=system.clock(),
                hold_for=timedelta(minutes=1),
                issue=system.context.issue,
            )
            await transaction.creation.add([NewBooking(granted)], [inventory])

    with pytest.raises(SoldOut):
        await reserve_too_many()
    assert (await system.row_counts())["bookings"] == 0


async def test_each_message_carries_the_headers_of_its_own_request(
    system: "BookingSystem", command: Commands, user: Users, commands_for: "CommandsFor"
) -> None:
    event = await system.open_event(10)
    headers = [{"traceparent": f"00-{number:032x}-{1:016x}-01"} for number in (1, 2)]
    prepared = [
        prepare_booking(each, system.context, headers[number - 1])
        for number in (1, 2)
        for each in commands_for(event, command(buyer=user(number)))
    ]
    await commit_bookings(prepared, system.context)
    rows = await system.pool.fetch(
        "SELECT b.user_id, o.headers->>'traceparent' AS parent FROM booking.outbox AS o"
        " JOIN booking.bookings AS b ON b.id = o.aggregate_id ORDER BY b.user_id"
    )
    assert [row["parent"] for row in rows] == [each["traceparent"] for each in headers]


async def test_a_message_has_no_personal_data_and_no_ticket_code(
    system: "BookingSystem", command: Commands
) -> None:
    event = await system.open_event(10)
    booking = await system.book(event, command(2))
    [payload] = [row["payload"] for row in await system.pool.fetch("TABLE booking.outbox")]
    for secret in (booking.buyer_email, booking.buyer_name, *(t.code for t in booking.tickets)):
        assert secret not in payload
    state = json.loads(payload)["booking"]
    assert state["ticketIds"] == [str(ticket.id) for ticket in booking.tickets]
    assert state["organizerId"] == str(event.event.organizer_id)
