"""Idempotency keys on a real PostgreSQL: repeats, reuse, and requests in progress."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from booking.application.booking_context import BookingResult, CreatedBooking
from booking.application.commands.cancel_booking import cancel_booking
from booking.application.commands.confirm_booking import confirm_booking
from booking.domain.booking import TicketStatus
from booking.domain.booking_creation import CreateBookingCommand
from booking.domain.errors import (
    Busy,
    IdempotencyKeyReused,
    RequestInProgress,
    SoldOut,
)
from goticket_kernel.actor import Actor
from goticket_kernel.errors import DomainError
from goticket_platform.ids import new_id

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem, OpenReplica

Users = Callable[..., Actor]
Commands = Callable[..., CreateBookingCommand]


def outcomes(results: list[BookingResult]) -> list[str]:
    return [
        result.booking.status.value if isinstance(result, CreatedBooking) else result.code
        for result in results
        if isinstance(result, CreatedBooking | DomainError)
    ]


async def test_a_rejected_request_changes_nothing(
    system: "BookingSystem", command: Commands
) -> None:
    event = await system.open_event(1)
    before = await system.row_counts()
    [rejected] = await system.create(event, command(2, key="again"))
    assert isinstance(rejected, SoldOut)
    assert await system.row_counts() == before
    await system.update_event(
        replace(
            event,
            event=replace(event.event, version=2),
            offers=(replace(event.offers[0], capacity=2),),
        )
    )
    [granted] = await system.create(event, command(2, key="again"))
    assert isinstance(granted, CreatedBooking)
    assert not granted.replayed


async def test_a_repeated_key_returns_the_first_booking(
    system: "BookingSystem", command: Commands
) -> None:
    event = await system.open_event(4)
    first = await system.book(event, command(4, key="k"))
    rows = await system.row_counts()
    [again] = await system.create(event, command(4, key="k"))
    assert again == CreatedBooking(first, event.event, replayed=True)
    [split] = await system.create(event, command(key="other", lines=[(event.offers[0].id, 1)] * 2))
    assert isinstance(split, SoldOut)
    assert await system.row_counts() == rows


async def test_a_repeat_returns_the_booking_as_it_is_now_and_changes_nothing(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    event = await system.open_event(10)
    kept = await system.book(event, command(2, key="kept", hold=True))
    cancelled_later = await system.book(event, command(3, key="cancelled"))
    confirmed = await confirm_booking(
        kept.id, user(1), bookings=system.bookings, issue=system.context.issue, now=system.clock
    )
    cancelled = await cancel_booking(
        cancelled_later.id, user(1), bookings=system.bookings, now=system.clock
    )
    rows = await system.row_counts()
    repeats = await system.create(
        event, command(2, key="kept", hold=True), command(3, key="cancelled")
    )
    assert repeats == [
        CreatedBooking(found.booking, event.event, replayed=True)
        for found in (confirmed, cancelled)
    ]
    assert outcomes(repeats) == ["confirmed", "cancelled"]
    assert {ticket.status for ticket in cancelled.booking.tickets} == {TicketStatus.VOID}
    assert await system.row_counts() == rows
    assert await system.counts(event) == [(0, 2)]


async def test_a_reused_key_with_another_body_or_event_is_rejected(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    event, other = await system.open_event(10), await system.open_event(10)
    await system.book(event, command(1, key="k"))
    [body, hold] = await system.create(event, command(2, key="k"), command(1, key="k", hold=True))
    [elsewhere] = await system.create(other, command(1, key="k"))
    [other_buyer] = await system.create(event, command(1, key="k", buyer=user(2)))
    for reused in (body, hold, elsewhere):
        assert isinstance(reused, IdempotencyKeyReused)
    assert isinstance(other_buyer, CreatedBooking)
    assert await system.counts(event) == [(0, 2)]


async def test_repeats_in_one_batch_share_the_first_booking(
    system: "BookingSystem", command: Commands
) -> None:
    event = await system.open_event(10)
    first, again, other = await system.create(
        event, command(2, key="k"), command(2, key="k"), command(3, key="k")
    )
    assert isinstance(first, CreatedBooking)
    assert again == replace(first, replayed=True)
    assert isinstance(other, IdempotencyKeyReused)
    assert await system.counts(event) == [(0, 2)]


async def test_fifty_concurrent_repeats_create_one_booking_and_return_it_fifty_times(
    system: "BookingSystem", command: Commands, open_replica: "OpenReplica"
) -> None:
    event = await system.open_event(10)
    replicas = [system.new_context((await open_replica(5))[0]) for _ in range(3)]
    barrier = asyncio.Barrier(50)

    async def create(number: int) -> CreatedBooking:
        await barrier.wait()
        [result] = await system.create(event, command(2, key="k"), context=replicas[number % 3])
        assert isinstance(result, CreatedBooking)
        return result

    results = await asyncio.gather(*(create(number) for number in range(50)))
    assert len({result.booking for result in results}) == 1
    assert sum(not result.replayed for result in results) == 1
    assert (await system.row_counts())["bookings"] == 1


async def test_one_key_for_several_concurrent_events_creates_one_booking(
    system: "BookingSystem", command: Commands, open_replica: "OpenReplica"
) -> None:
    events = [await system.open_event(10) for _ in range(10)]
    bookings, _ = await open_replica(10)
    context = system.new_context(bookings)
    barrier = asyncio.Barrier(len(events))

    async def create(number: int) -> str:
        await barrier.wait()
        results = await system.create(events[number], command(1, key="k"), context=context)
        return outcomes(results)[0]

    results = Counter(await asyncio.gather(*(create(number) for number in range(len(events)))))
    assert results == {"confirmed": 1, "idempotency_key_reused": 9}
    assert (await system.row_counts())["bookings"] == 1


async def test_a_lock_that_is_not_released_gives_a_prompt_error(
    system: "BookingSystem", command: Commands, open_replica: "OpenReplica"
) -> None:
    event = await system.open_event(10)
    bookings, _ = await open_replica(5, lock_timeout_ms=200)
    context = system.new_context(bookings)
    async with system.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT * FROM booking.inventory FOR UPDATE")
        [busy] = await system.create(event, command(1), context=context)
        assert isinstance(busy, Busy)
        both = await asyncio.gather(
            *(system.create(event, command(1, key="k"), context=context) for _ in range(2))
        )
        assert "request_in_progress" in [outcomes(results)[0] for results in both]
    [free] = await system.create(event, command(1, key="k"), context=context)
    assert isinstance(free, CreatedBooking)


async def test_commands_are_busy_while_a_table_is_altered(
    system: "BookingSystem", command: Commands, open_replica: "OpenReplica"
) -> None:
    event = await system.open_event(10)
    bookings, _ = await open_replica(5, lock_timeout_ms=200)
    context = system.new_context(bookings)
    async with system.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE booking.outbox IN ACCESS EXCLUSIVE MODE")
        results = await system.create(event, command(1, key="k"), command(1), context=context)
        assert [type(result) for result in results] == [Busy, Busy]
    [free] = await system.create(event, command(1, key="k"), context=context)
    assert isinstance(free, CreatedBooking)


async def test_a_key_of_an_unfinished_transaction_is_in_progress(
    system: "BookingSystem", command: Commands, open_replica: "OpenReplica"
) -> None:
    event = await system.open_event(10)
    bookings, _ = await open_replica(5, lock_timeout_ms=200)
    context = system.new_context(bookings)
    async with system.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO booking.idempotency_keys VALUES ($1, 'k', $2, '', $3, now())",
            command().buyer.user_id,
            new_id(),
            new_id(),
        )
        stuck, free = await system.create(
            event, command(1, key="k"), command(1, key="free"), context=context
        )
        assert isinstance(stuck, RequestInProgress)
        assert isinstance(free, CreatedBooking)
    assert await system.counts(event) == [(0, 1)]
