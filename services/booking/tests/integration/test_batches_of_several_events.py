"""One transaction for several events on a real PostgreSQL: each is decided on its own."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from booking.adapters.batched_submitter import (
    BatchedSubmitter,
    batching_limits,
    open_batcher,
)
from booking.application.booking_context import BookingContext, BookingResult, CreatedBooking
from booking.application.commands.commit_bookings import commit_bookings
from booking.application.commands.prepare_booking import PreparedBooking, prepare_booking
from booking.domain.booking_creation import CreateBookingCommand
from booking.domain.event import CatalogEvent
from goticket_kernel.actor import Actor
from goticket_kernel.errors import DomainError
from goticket_platform.batching import Batcher
from goticket_platform.ids import new_id
from goticket_platform.postgres import is_transient

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem, OpenReplica

Users = Callable[..., Actor]
Commands = Callable[..., CreateBookingCommand]
FOREVER = float("inf")


Wanted = tuple[CatalogEvent, CreateBookingCommand]


def for_events(*wanted: Wanted) -> list[CreateBookingCommand]:
    return [replace(command, event_id=event.event.id) for event, command in wanted]


def prepare_all(context: BookingContext, *wanted: Wanted) -> list[PreparedBooking]:
    return [prepare_booking(command, context, {}) for command in for_events(*wanted)]


def outcomes(results: Sequence[BookingResult | None]) -> list[str]:
    return [
        result.code
        if isinstance(result, DomainError)
        else result.booking.status.value
        if isinstance(result, CreatedBooking)
        else repr(result)
        for result in results
    ]


def batched_submitter(context: BookingContext, **limits: int) -> BatchedSubmitter:
    batcher: Batcher[UUID, PreparedBooking, BookingResult] = open_batcher(
        partial(commit_bookings, context=context),
        is_transient=is_transient,
        limits=batching_limits(**limits),
    )
    return BatchedSubmitter(context, batcher)


async def test_each_command_is_decided_by_the_inventory_of_its_own_event(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    plenty, few, limited = [await system.open_event(capacity) for capacity in (10, 1, 10)]
    seats = await system.open_event(2, 2)
    unknown = replace(plenty, event=replace(plenty.event, id=new_id()))
    limited = replace(limited, event=replace(limited.event, version=2, max_per_buyer=2))
    await system.update_event(limited)
    await system.book(limited, command(1))
    context = replace(system.context, max_holds=1)
    prepared = prepare_all(
        context,
        (few, command(2)),
        (plenty, command(3)),
        (unknown, command()),
        (limited, command(2)),
        (few, command(1)),
        (limited, command(2, buyer=user(2))),
        (plenty, command(1, hold=True)),
        (plenty, command(1, hold=True)),
        (few, command(1)),
        (seats, command(lines=[(seats.offers[1].id, 2)])),
        (seats, command(lines=[(plenty.offers[0].id, 1)])),
    )
    results = await commit_bookings(prepared, context)
    assert outcomes(results) == [
        "sold_out",
        "confirmed",
        "event_not_found",
        "max_per_buyer_exceeded",
        "confirmed",
        "confirmed",
        "held",
        "too_many_holds",
        "sold_out",
        "confirmed",
        "unknown_ticket_type",
    ]
    assert await system.counts(plenty) == [(1, 3)]
    assert await system.counts(few) == [(0, 1)]
    assert await system.counts(limited) == [(0, 3)]
    assert await system.counts(seats) == [(0, 0), (0, 2)]
    await system.assert_consistent()
    for result, booking in zip(results, prepared, strict=True):
        if isinstance(result, CreatedBooking):
            stored = await system.bookings.find_booking(result.booking.id)
            assert stored is not None
            assert (stored.booking, stored.event.id) == (result.booking, booking.event_id)
    partitions = await system.pool.fetch("SELECT DISTINCT partition_id FROM booking.outbox")
    assert len(partitions) == 4


async def test_a_key_belongs_to_one_event(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    one, other = await system.open_event(10), await system.open_event(10)
    before = await system.book(one, command(1, key="before"))
    prepared = prepare_all(
        system.context,
        (one, command(1, key="before")),
        (other, command(1, key="before")),
        (other, command(1, key="new")),
        (one, command(1, key="new")),
        (other, command(1, key="new")),
        (one, command(1, key="new", buyer=user(2))),
    )
    results = await commit_bookings(prepared, system.context)
    assert outcomes(results) == [
        "confirmed",
        "idempotency_key_reused",
        "confirmed",
        "idempotency_key_reused",
        "confirmed",
        "confirmed",
    ]
    replayed = [result.replayed for result in results if isinstance(result, CreatedBooking)]
    assert replayed == [True, False, True, False]
    assert results[0] == CreatedBooking(before, one.event, replayed=True)
    assert (await system.counts(one), await system.counts(other)) == ([(0, 2)], [(0, 1)])


async def test_a_locked_event_does_not_delay_other_events(
    system: "BookingSystem", command: Commands
) -> None:
    free, locked = await system.open_event(10), await system.open_event(10)
    submitter = batched_submitter(system.context)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(system.pool.acquire())
        await stack.enter_async_context(connection.transaction())
        await connection.execute(
            "SELECT FROM booking.inventory WHERE event_id = $1 FOR UPDATE", locked.event.id
        )
        prepared = prepare_all(system.context, (locked, command()), (free, command()))
        assert outcomes(await commit_bookings(prepared, system.context)) == ["None", "confirmed"]
        calls = [
            asyncio.create_task(submitter.submit(for_events((event, command())), FOREVER))
            for event in (locked, free)
        ]
        assert outcomes(await calls[1]) == ["confirmed"]
        assert not calls[0].done()
    assert outcomes(await calls[0]) == ["confirmed"]
    assert (await system.counts(free), await system.counts(locked)) == ([(0, 2)], [(0, 1)])
    await system.assert_consistent()


async def test_a_key_in_progress_for_one_event_does_not_delay_other_events(
    system: "BookingSystem", command: Commands, open_replica: "OpenReplica"
) -> None:
    one, other = await system.open_event(10), await system.open_event(10)
    bookings, _ = await open_replica(lock_timeout_ms=50)
    context = system.new_context(bookings)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(system.pool.acquire())
        await stack.enter_async_context(connection.transaction())
        await connection.execute(
            "INSERT INTO booking.idempotency_keys VALUES ($1, 'stuck', $2, '', $2, now())",
            UUID(int=1),
            new_id(),
        )
        commands = for_events((one, command(key="stuck")), (other, command(key="free")))
        results = await batched_submitter(context).submit(commands, FOREVER)
        assert outcomes(results) == ["request_in_progress", "confirmed"]
    assert (await system.counts(one), await system.counts(other)) == ([(0, 0)], [(0, 1)])


async def test_unknown_events_are_provisioned_and_the_others_are_not_affected(
    system: "BookingSystem", command: Commands
) -> None:
    known = await system.open_event(10)
    new, newer = system.add_to_catalog(10), system.add_to_catalog(1)
    unknown = replace(known, event=replace(known.event, id=new_id()))
    commands = for_events(*((event, command()) for event in (new, known, newer, newer, unknown)))
    results = await batched_submitter(system.context).submit(commands, FOREVER)
    assert outcomes(results) == ["confirmed"] * 3 + ["sold_out", "event_not_found"]
    assert system.catalog.calls == 1, "the unknown events of a batch share a call"
    await system.assert_consistent()


@pytest.mark.parametrize("solo_threshold", [2, 100])
async def test_replicas_with_the_same_events_neither_deadlock_nor_oversell(
    solo_threshold: int,
    system: "BookingSystem",
    command: Commands,
    user: Users,
    open_replica: "OpenReplica",
) -> None:
    events = [await system.open_event(10, 10) for _ in range(6)]
    submitters = [
        batched_submitter(
            system.new_context((await open_replica(4))[0]), solo_threshold=solo_threshold
        )
        for _ in range(3)
    ]
    barrier = asyncio.Barrier(60)

    async def buy(number: int) -> list[str]:
        await barrier.wait()
        rotated = events[number % 6 :] + events[: number % 6]
        wanted = [
            (
                event,
                command(
                    buyer=user(number),
                    key=f"{place}",
                    lines=[(offer.id, 1) for offer in event.offers[:: (-1) ** number]],
                ),
            )
            for place, event in enumerate(rotated)
        ]
        return outcomes(await submitters[number % 3].submit(for_events(*wanted), FOREVER))

    results = await asyncio.gather(*(buy(number) for number in range(1, 61)))
    decided = [outcome for result in results for outcome in result]
    assert (decided.count("confirmed"), decided.count("sold_out")) == (60, 300)
    for event in events:
        assert await system.counts(event) == [(0, 10), (0, 10)]
    await system.assert_consistent()
