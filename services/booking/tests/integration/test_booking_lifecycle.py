"""Confirmation, cancellation and expiry on a real PostgreSQL, also concurrently."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from booking.application.booking_context import CreatedBooking
from booking.application.commands.cancel_booking import cancel_booking
from booking.application.commands.confirm_booking import confirm_booking
from booking.application.ports import BookingOfEvent
from booking.domain.booking import Booking, BookingStatus, TicketStatus
from booking.domain.booking_creation import CreateBookingCommand
from booking.domain.errors import (
    BookingClosed,
    EventCancelled,
    EventStarted,
    HoldExpired,
)
from booking.domain.event import EventStatus
from booking.entrypoints.sweeper import Sweeper
from goticket_kernel.actor import Actor
from goticket_kernel.errors import DomainError, Forbidden
from goticket_platform.lifecycle import Stop

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem, OpenReplica

Users = Callable[..., Actor]
Commands = Callable[..., CreateBookingCommand]


async def confirm(system: "BookingSystem", booking: Booking, actor: Actor) -> Booking:
    found = await confirm_booking(
        booking.id, actor, bookings=system.bookings, issue=system.context.issue, now=system.clock
    )
    return found.booking


async def cancel(system: "BookingSystem", booking: Booking, actor: Actor) -> Booking:
    found = await cancel_booking(booking.id, actor, bookings=system.bookings, now=system.clock)
    return found.booking


async def read(system: "BookingSystem", booking: Booking) -> Booking:
    found = await system.bookings.find_booking(booking.id)
    assert found is not None
    return found.booking


async def sweep(system: "BookingSystem") -> None:
    await Sweeper(system.bookings, system.bookings, system.catalog, system.clock).sweep(Stop())


async def test_confirming_moves_held_to_sold_and_issues_tickets_once(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    event = await system.open_event(10, 10)
    lines = [(offer.id, 2) for offer in event.offers]
    held = await system.book(event, command(lines=lines, hold=True))
    confirmed = await confirm(system, held, user(1))
    assert len(confirmed.tickets) == 4
    assert confirmed.version == 2
    assert await confirm(system, held, user(1)) == confirmed == await read(system, held)
    assert await system.counts(event) == [(0, 2), (0, 2)]
    assert await system.outbox_count("confirmed") == 1
    await system.assert_consistent()


async def test_an_expired_hold_is_rejected_before_and_after_the_sweeper(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    event = await system.open_event(10)
    held = await system.book(event, command(2, hold=True))
    system.clock.advance(timedelta(minutes=10))
    with pytest.raises(HoldExpired):
        await confirm(system, held, user(1))
    assert await system.counts(event) == [(2, 0)]
    await sweep(system)
    await sweep(system)
    assert await system.counts(event) == [(0, 0)]
    with pytest.raises(HoldExpired):
        await confirm(system, held, user(1))
    with pytest.raises(BookingClosed):
        await cancel(system, held, user(1))
    expired = await read(system, held)
    assert (expired.status, expired.expires_at) == (BookingStatus.EXPIRED, None)
    assert await system.outbox_count("expired") == 1


async def test_cancelling_voids_tickets_and_releases_inventory_once(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    event = await system.open_event(10)
    booking = await system.book(event, command(3))
    held = await system.book(event, command(2, hold=True))
    cancelled = await cancel(system, booking, user(1))
    assert {ticket.status for ticket in cancelled.tickets} == {TicketStatus.VOID}
    assert await cancel(system, booking, user(1)) == cancelled == await read(system, booking)
    await cancel(system, held, user(1))
    assert await system.counts(event) == [(0, 0)]
    assert await system.outbox_count("cancelled") == 2
    await system.assert_consistent()


async def test_a_cancellation_requires_a_permitted_actor_and_time(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    event = await system.open_event(10)
    organizer = replace(user(9, "organizer"), user_id=event.event.organizer_id)
    first, second, third = [await system.book(event, command(1)) for _ in range(3)]
    held = await system.book(event, command(1, hold=True))
    with pytest.raises(Forbidden):
        await cancel(system, first, user(2, "organizer"))
    system.clock.time = event.event.starts_at
    with pytest.raises(EventStarted):
        await cancel(system, first, user(1))
    await cancel(system, held, user(1))
    await cancel(system, second, organizer)
    await cancel(system, third, user(3, "admin"))
    assert await system.counts(event) == [(0, 1)]


async def test_a_hold_of_a_cancelled_event_cannot_be_confirmed(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    event = await system.open_event(10)
    held = await system.book(event, command(1, hold=True))
    cancelled = replace(event.event, version=2, status=EventStatus.CANCELLED)
    await system.update_event(replace(event, event=cancelled))
    with pytest.raises(EventCancelled):
        await confirm(system, held, user(1))


async def test_concurrent_confirmation_cancellation_and_expiry_change_a_hold_once(
    system: "BookingSystem", command: Commands, user: Users, open_replica: "OpenReplica"
) -> None:
    event = await system.open_event(200)
    held = [await system.book(event, command(1, hold=True)) for _ in range(60)]
    replicas = [(await open_replica(8))[0] for _ in range(3)]
    deadline = system.clock.time + timedelta(minutes=10)
    # Confirmers act just before the end, sweepers just after: both are entitled.
    before, after = deadline - timedelta(microseconds=1), deadline
    barrier = asyncio.Barrier(60 * 2 + 6)

    async def at_once(work: Coroutine[object, object, object]) -> object:
        await barrier.wait()
        try:
            return await work
        except DomainError as rejection:
            return rejection

    actions = [
        at_once(
            confirm_booking(
                hold.id,
                user(1),
                bookings=replicas[number % 3],
                issue=system.context.issue,
                now=lambda: before,
            )
        )
        for number, hold in enumerate(held)
    ]
    actions += [
        at_once(cancel_booking(hold.id, user(1), bookings=replicas[number % 3], now=lambda: after))
        for number, hold in enumerate(held)
    ]
    actions += [
        at_once(system.expire_holds(event, bookings=replicas[number % 3], now=lambda: after))
        for number in range(6)
    ]
    results = await asyncio.gather(*actions)
    unexpected = [
        result
        for result in results
        if not isinstance(result, BookingOfEvent | int | HoldExpired | BookingClosed)
    ]
    assert unexpected == []
    final = [(await read(system, hold)).status for hold in held]
    assert BookingStatus.HELD not in final
    assert await system.counts(event) == [(0, final.count(BookingStatus.CONFIRMED))]
    # Each closed booking has one message.
    assert await system.outbox_count("cancelled") == final.count(BookingStatus.CANCELLED)
    assert await system.outbox_count("expired") == final.count(BookingStatus.EXPIRED)
    await system.assert_consistent()


async def test_several_sweepers_release_the_inventory_of_each_hold_once(
    system: "BookingSystem", command: Commands, user: Users, open_replica: "OpenReplica"
) -> None:
    events = [await system.open_event(1000, max_per_booking=100) for _ in range(3)]
    for event in events:
        await system.create(event, *(command(2, hold=True, buyer=user(n)) for n in range(1, 301)))
        await system.book(event, command(5))
    system.clock.advance(timedelta(hours=1))
    sweepers = [
        Sweeper((await open_replica(3))[0], system.bookings, system.catalog, system.clock)
        for _ in range(4)
    ]
    sweepers = [replace(one, maintenance=one.bookings) for one in sweepers]  # type: ignore[arg-type]  # one object, both ports
    while await system.bookings.due_holds(system.clock()):
        await asyncio.gather(*(one.sweep(Stop()) for one in sweepers))
    for event in events:
        assert await system.counts(event) == [(0, 5)]
    assert await system.outbox_count("expired") == 900
    await system.assert_consistent()


async def waiting(system: "BookingSystem") -> int:
    """Number of transactions that wait for a lock."""
    count: int = await system.pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return count


async def test_queued_changes_of_one_hold_are_applied_once(
    system: "BookingSystem", command: Commands, user: Users, open_replica: "OpenReplica"
) -> None:
    event = await system.open_event(10)
    hold = await system.book(event, command(4, hold=True))
    bookings, _ = await open_replica(12)
    end = system.clock.time + timedelta(minutes=10)

    def change(number: int) -> Coroutine[object, object, object]:
        if number % 2:
            return cancel_booking(hold.id, user(1), bookings=bookings, now=system.clock)
        return confirm_booking(
            hold.id, user(1), bookings=bookings, issue=system.context.issue, now=system.clock
        )

    async with system.pool.acquire() as connection, connection.transaction():
        # All changes have read the booking before one can lock the inventory.
        await connection.execute("SELECT * FROM booking.inventory FOR UPDATE")
        changes = [asyncio.create_task(change(number)) for number in range(10)]
        async with asyncio.timeout(20):
            while await waiting(system) < len(changes):
                await asyncio.sleep(0.01)
        # The sweeper skips a locked booking.
        assert await system.expire_holds(event, bookings=bookings, now=lambda: end) == 0
    results = await asyncio.gather(*changes, return_exceptions=True)
    rejected = [result for result in results if not isinstance(result, BookingOfEvent)]
    assert all(isinstance(rejection, BookingClosed) for rejection in rejected), rejected
    final = await read(system, hold)
    assert final.status is BookingStatus.CANCELLED  # the cancellations were last or first
    assert await system.counts(event) == [(0, 0)]
    assert await system.outbox_count("cancelled") == 1
    assert await system.outbox_count("confirmed") <= 1
    await system.assert_consistent()


async def test_concurrent_cancellations_release_the_inventory_once(
    system: "BookingSystem", command: Commands, user: Users, open_replica: "OpenReplica"
) -> None:
    event = await system.open_event(10)
    booking = await system.book(event, command(4))
    bookings, _ = await open_replica(8)
    async with system.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT * FROM booking.inventory FOR UPDATE")
        tasks = [
            asyncio.create_task(
                cancel_booking(booking.id, user(1), bookings=bookings, now=system.clock)
            )
            for _ in range(8)
        ]
        async with asyncio.timeout(20):
            while await waiting(system) < len(tasks):
                await asyncio.sleep(0.01)
    found = await asyncio.gather(*tasks)
    assert len({each.booking for each in found}) == 1
    assert await system.counts(event) == [(0, 0)]
    assert await system.outbox_count("cancelled") == 1


async def test_creation_confirmation_cancellation_and_expiry_never_deadlock(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    event = await system.open_event(30, 30, 30)
    types = [offer.id for offer in event.offers]
    failures: list[BaseException] = []

    async def buyer(number: int) -> None:
        wanted = [types[(number + step) % 3] for step in range(3)][: 1 + number % 3]
        if number % 2:
            wanted.reverse()
        for turn in range(4):
            request = command(
                buyer=user(number), lines=[(one, 1) for one in wanted], hold=bool(turn % 2)
            )
            [result] = await system.create(event, request)
            if not isinstance(result, CreatedBooking):
                assert isinstance(result, DomainError)
                await system.expire_holds(event)
                continue
            if result.booking.status is BookingStatus.HELD and number % 4:
                await confirm(system, result.booking, user(number))
            if number % 5:
                await cancel(system, result.booking, user(number))

    results = await asyncio.gather(
        *(buyer(number) for number in range(1, 31)), return_exceptions=True
    )
    failures += [result for result in results if isinstance(result, BaseException)]
    assert failures == []
    await system.assert_consistent()
