"""Commands for sold-out events are rejected without locks; no other command is."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from booking.application.booking_context import CreatedBooking
from booking.application.commands.commit_bookings import commit_bookings
from booking.application.commands.create_bookings import create_bookings_of_event
from booking.application.commands.prepare_booking import prepare_booking
from booking.application.ports import NewBooking
from booking.domain.booking import BookingConfirmed
from booking.domain.booking_creation import CreateBookingCommand, decide_booking
from booking.domain.errors import (
    EventOver,
    IdempotencyKeyReused,
    MaxPerBookingExceeded,
    SoldOut,
    UnknownTicketType,
)
from goticket_platform.ids import new_id

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem, CommandsFor, OpenReplica

Commands = Callable[..., CreateBookingCommand]


async def test_commands_for_a_sold_out_event_are_rejected_without_locks(
    system: "BookingSystem", command: Commands
) -> None:
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
    expected_metadata = {"ticket_type_id": str(event.offers[0].id), "available": "0"}
    assert isinstance(results[0], SoldOut)
    assert results[0].metadata == expected_metadata
    assert (await system.row_counts())["bookings"] == 1


async def test_a_used_key_returns_its_booking_after_the_event_has_sold_out(
    system: "BookingSystem", command: Commands
) -> None:
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


async def test_added_capacity_is_sold(system: "BookingSystem", command: Commands) -> None:
    event = await system.open_event(1)
    [first, rejected] = await system.create(event, command(1), command(1))
    assert isinstance(first, CreatedBooking)
    assert isinstance(rejected, SoldOut)
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


async def test_a_repeat_waits_for_the_commit_of_the_first_request(
    system: "BookingSystem",
    command: Commands,
    open_replica: "OpenReplica",
    commands_for: "CommandsFor",
) -> None:
    event = await system.open_event(1)
    context = system.new_context((await open_replica())[0])
    context.sold_out.record([event.event.id], [True])  # as before a ticket was released
    [request] = commands_for(event, command(1, key="k"))
    prepared = prepare_booking(request, context, {})
    async with system.bookings.transaction() as transaction:
        snapshot = await transaction.creation.lock_snapshot([event.event.id], [])
        inventory = snapshot.inventories[event.event.id]
        granted = decide_booking(
            request,
            inventory,
            booking_id=prepared.booking_id,
            now=context.now(),
            hold_for=context.hold_for,
            issue=context.issue,
        )
        assert isinstance(granted, BookingConfirmed)
        await transaction.creation.add(
            [NewBooking(granted, "k", prepared.fingerprint)], [inventory]
        )
        retry = asyncio.create_task(create_bookings_of_event([request], context))
        done, _ = await asyncio.wait([retry], timeout=0.3)
        assert not done
    assert await retry == [CreatedBooking(granted.booking, event.event, replayed=True)]


async def test_a_rejection_without_locks_equals_one_under_locks(
    system: "BookingSystem", command: Commands
) -> None:
    event = await system.open_event(0, 5)
    sold_out, available = (offer.id for offer in event.offers)
    commands = [command(lines=[(sold_out, 1)]), command(lines=[(new_id(), 1)]), command(1)]
    locked = await system.create(event, *commands)
    assert event.event.id in system.context.sold_out
    unlocked = await system.create(event, *commands, command(lines=[(available, 2)]))
    assert [type(result) for result in unlocked[:3]] == [type(result) for result in locked]
    assert isinstance(unlocked[1], UnknownTicketType)
    assert isinstance(unlocked[3], CreatedBooking)
    assert event.event.id not in system.context.sold_out
    system.context.sold_out.record([event.event.id], [True])
    system.clock.time = event.event.ends_at
    [over] = await system.create(event, command(lines=[(available, 1)]))
    assert isinstance(over, EventOver)


async def test_no_ticket_is_signed_in_advance_for_a_sold_out_event(
    system: "BookingSystem", command: Commands, commands_for: "CommandsFor"
) -> None:
    signed = 0

    def issue(event_id: object) -> object:
        nonlocal signed
        signed += 1
        return system.context.issue(event.event.id)

    event, other = await system.open_event(0), await system.open_event(1)
    context = replace(system.context, issue=issue)  # type: ignore[arg-type]  # counts and passes on
    for key in ("first", "second"):
        await create_bookings_of_event(commands_for(event, command(2, key=key)), context)
        assert signed == 0
    context.sold_out.record([other.event.id], [True])
    prepared = [
        prepare_booking(each, context, {})
        for found in (event, other)
        for each in commands_for(found, command(1))
    ]
    assert signed == 0
    results = await commit_bookings(prepared, context)
    assert [type(result) for result in results] == [SoldOut, CreatedBooking]
    assert signed == 1
