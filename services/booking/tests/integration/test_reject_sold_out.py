"""Who comes after the last ticket is turned away without locks, and nobody else is."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from booking.application.commands.prepare_booking import prepare_booking
from booking.application.commands.create_bookings import create_bookings_of_event
from booking.application.booking_context import CreatedBooking
from booking.application.commands.commit_bookings import commit_bookings
from booking.application.ports import Sale
from booking.domain.booking import BookingConfirmed
from booking.domain.errors import (
    EventOver,
    IdempotencyKeyReused,
    MaxPerBookingExceeded,
    SoldOut,
    UnknownTicketType,
)
from booking.domain.booking_creation import CreateBookingCommand, place
from goticket_platform.ids import new_id

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem, OpenReplica

Commands = Callable[..., CreateBookingCommand]


async def test_refusals_of_a_sold_out_event_wait_for_no_lock(system: "BookingSystem", command: Commands) -> None:
    event = await system.open_event(1)
    await system.create(event, command(1, key="last"), command(1))
    [over] = await system.create(event, command(1))
    assert isinstance(over, SoldOut)
    async with system.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM booking.inventory FOR UPDATE")
        results = await asyncio.wait_for(
            system.create(
                event,
                command(1, key="a"),
                command(2, key="b"),
                command(11),
                command(1, hold=True),
                command(lines=[(event.offers[0].id, 1)]),
            ),
            10,
        )
    expected = [SoldOut, SoldOut, MaxPerBookingExceeded, SoldOut, SoldOut]
    assert [type(result) for result in results] == expected
    told = {"ticketTypeId": str(event.offers[0].id), "available": "0"}
    assert isinstance(results[0], SoldOut)
    assert results[0].metadata == told
    assert (await system.row_counts())["bookings"] == 1


async def test_a_used_key_is_answered_however_much_is_sold(system: "BookingSystem", command: Commands) -> None:
    event = await system.open_event(1)
    [first, _] = await system.create(event, command(1, key="mine"), command(1))
    [mine, other, late] = await system.create(
        event, command(1, key="mine"), command(2, key="mine"), command(1, key="late")
    )
    assert isinstance(first, CreatedBooking)
    assert mine == replace(first, replayed=True)
    assert isinstance(other, IdempotencyKeyReused)
    assert isinstance(late, SoldOut)
    await system.assert_consistent()


async def test_what_comes_back_is_sold_again(system: "BookingSystem", command: Commands) -> None:
    event = await system.open_event(1)
    [first, refused] = await system.create(event, command(1), command(1))
    assert isinstance(first, CreatedBooking)
    assert isinstance(refused, SoldOut)
    more = replace(
        event,
        event=replace(event.event, version=2),
        offers=(replace(event.offers[0], capacity=3),),
    )
    await system.update_event(more)
    results = await system.create(event, command(3), command(2, key="k"), command(1))
    assert [type(result) for result in results] == [SoldOut, CreatedBooking, SoldOut]
    assert await system.counts(event) == [(0, 3)]
    await system.assert_consistent()


async def test_a_retry_of_what_is_being_granted_elsewhere_waits_for_its_answer(
    system: "BookingSystem", command: Commands, open_replica: "OpenReplica"
) -> None:
    event = await system.open_event(1)
    context = system.new_context((await open_replica())[0])
    context.sold_out.record([event.event.id], [True])  # as it was before a ticket came back
    request = command(1, key="k")
    order = prepare(event.event.id, request, new_id=new_id, issue=context.issue)
    async with system.bookings.transaction() as transaction:
        sale = await transaction.open_sale({event.event.id: None}, [])
        stock = sale.stocks[event.event.id]
        placed = place(
            request,
            stock,
            booking_id=order.booking_id,
            now=context.now(),
            hold_for=context.hold_for,
            issue=context.issue,
        )
        assert isinstance(placed, BookingConfirmed)
        await transaction.add([Sale(placed, "k", order.fingerprint)], [stock])
        retry = asyncio.create_task(create_bookings_of_event(event.event.id, [request], context))
        done, _ = await asyncio.wait([retry], timeout=0.3)
        assert not done
    assert await retry == [CreatedBooking(placed.booking, event.event, replayed=True)]


async def test_a_glance_tells_what_locks_would(system: "BookingSystem", command: Commands) -> None:
    event = await system.open_event(0, 5)
    gone, left = (offer.id for offer in event.offers)
    commands = [command(lines=[(gone, 1)]), command(lines=[(new_id(), 1)]), command(1)]
    slow = await system.create(event, *commands)
    assert event.event.id in system.context.sold_out
    fast = await system.create(event, *commands, command(lines=[(left, 2)]))
    assert [type(result) for result in fast[:3]] == [type(result) for result in slow]
    assert isinstance(fast[1], UnknownTicketType)
    assert isinstance(fast[3], CreatedBooking)
    assert event.event.id not in system.context.sold_out
    system.context.sold_out.record([event.event.id], [True])
    system.clock.time = event.event.ends_at
    [over] = await system.create(event, command(lines=[(left, 1)]))
    assert isinstance(over, EventOver)


async def test_nothing_is_signed_ahead_for_who_is_probably_too_late(
    system: "BookingSystem", command: Commands
) -> None:
    signed = 0

    def issue(event_id: object) -> object:
        nonlocal signed
        signed += 1
        return system.context.issue(event.event.id)

    event, other = await system.open_event(0), await system.open_event(1)
    context = replace(system.context, issue=issue)  # type: ignore[arg-type]  # counts and passes on
    for expected in (2, 2):
        await create_bookings_of_event(event.event.id, [command(2, key=str(expected))], context)
        assert signed == expected
    prepared = [
        prepare(found.event.id, command(1), new_id=new_id, issue=context.issue, likely=False)
        for found in (event, other)
    ]
    results = await commit_bookings(prepared, context)
    assert [type(result) for result in results] == [SoldOut, CreatedBooking]
    assert signed == 3
