"""One transaction for several events on a real PostgreSQL: each is decided as if on its own."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from booking.application.boarding import LaneLimits
from booking.application.booking_submitter import BatchedSubmitter
from booking.application.lanes import Lanes
from booking.application.commands.prepare_booking import PreparedBooking, prepare_booking
from booking.application.booking_context import BookingContext, BookingResult, CreatedBooking
from booking.application.commands.commit_bookings import commit_bookings
from goticket_kernel.actor import Actor
from booking.domain.errors import DomainError
from booking.domain.event import CatalogEvent
from booking.domain.booking_creation import CreateBookingCommand
from goticket_platform.ids import new_id
from goticket_platform.postgres import is_transient

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem, OpenReplica

Users = Callable[..., Actor]
Commands = Callable[..., CreateBookingCommand]
FOREVER = float("inf")


def prepare_all(context: BookingContext, *asked: tuple[CatalogEvent, CreateBookingCommand]) -> list[PreparedBooking]:
    return [
        prepare(event.event.id, request, new_id=context.new_id, issue=context.issue)
        for event, request in asked
    ]


def told(results: Sequence[BookingResult | Exception | None]) -> list[str]:
    return [
        result.code
        if isinstance(result, DomainError)
        else result.booking.status.value
        if isinstance(result, CreatedBooking)
        else repr(result)
        for result in results
    ]


def batched_submitter(context: BookingContext, **limits: int) -> BatchedSubmitter:
    lanes: Lanes[PreparedBooking, BookingResult] = Lanes(
        partial(commit_bookings, context=context),
        event_of=attrgetter("event_id"),
        is_transient=is_transient,
        limits=LaneLimits(**limits),
    )
    return BatchedSubmitter(context, lanes)


async def test_each_order_is_decided_against_the_stock_of_its_own_event(
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
    assert told(results) == [
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
    for result, order in zip(results, prepared, strict=True):
        if isinstance(result, CreatedBooking):
            stored = await system.bookings.find_booking(result.booking.id)
            assert stored is not None
            assert (stored.booking, stored.event.id) == (result.booking, order.event_id)
    partitions = await system.pool.fetch("SELECT DISTINCT partition_id FROM booking.outbox")
    assert len(partitions) == 4


async def test_keys_are_of_one_event_each(system: "BookingSystem", command: Commands, user: Users) -> None:
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
    assert told(results) == [
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


async def test_an_event_locked_elsewhere_holds_up_nobody_else(system: "BookingSystem", command: Commands) -> None:
    free, locked = await system.open_event(10), await system.open_event(10)
    submitter = batched_submitter(system.context)
    ids = [locked.event.id, free.event.id]
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(system.pool.acquire())
        await stack.enter_async_context(connection.transaction())
        await connection.execute(
            "SELECT FROM booking.inventory WHERE event_id = $1 FOR UPDATE", locked.event.id
        )
        prepared = prepare_all(system.context, (locked, command()), (free, command()))
        assert told(await commit_bookings(prepared, system.context)) == ["None", "confirmed"]
        calls = [asyncio.create_task(submitter.submit([(event_id, command())], FOREVER)) for event_id in ids]
        assert told(await calls[1]) == ["confirmed"]
        assert not calls[0].done()
    assert told(await calls[0]) == ["confirmed"]
    assert (await system.counts(free), await system.counts(locked)) == ([(0, 2)], [(0, 1)])
    await system.assert_consistent()


async def test_a_key_that_is_stuck_in_one_event_holds_up_no_other(
    system: "BookingSystem", command: Commands, open_replica: "OpenReplica"
) -> None:
    one, other = await system.open_event(10), await system.open_event(10)
    impatient, _ = await open_replica(lock_timeout_ms=50)
    context = system.new_context(impatient)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(system.pool.acquire())
        await stack.enter_async_context(connection.transaction())
        await connection.execute(
            "INSERT INTO booking.idempotency_keys VALUES ($1, 'stuck', $2, '', $2, now())",
            UUID(int=1),
            new_id(),
        )
        asked = [(one.event.id, command(key="stuck")), (other.event.id, command(key="mine"))]
        answers = await batched_submitter(context).ask(asked, FOREVER)
        assert told(answers) == ["request_in_progress", "confirmed"]
    assert (await system.counts(one), await system.counts(other)) == ([(0, 0)], [(0, 1)])


async def test_events_new_here_are_fetched_and_a_dead_catalog_fails_no_neighbour(
    system: "BookingSystem", command: Commands
) -> None:
    known = await system.open_event(10)
    new, newer = system.add_to_catalog(10), system.add_to_catalog(1)
    asked = [(event.event.id, command()) for event in (new, known, newer, newer)]
    submitter = batched_submitter(system.context)
    answers: list[Answered] = await submitter.submit([*asked, (new_id(), command())], FOREVER)
    assert told(answers) == ["confirmed"] * 3 + ["sold_out", "event_not_found"]
    assert system.catalog.asked == 3
    await system.assert_consistent()


@pytest.mark.parametrize("crowd", [2, 100])
async def test_replicas_that_sell_the_same_events_never_wait_in_a_circle_nor_oversell(
    crowd: int, system: "BookingSystem", command: Commands, user: Users, open_replica: "OpenReplica"
) -> None:
    events = [await system.open_event(10, 10) for _ in range(6)]
    submitters = [
        batched_submitter(system.new_context((await open_replica(4))[0]), crowd=crowd) for _ in range(3)
    ]
    barrier = asyncio.Barrier(60)

    async def buy(number: int) -> list[str]:
        await barrier.wait()
        turned = events[number % 6 :] + events[: number % 6]
        asked = [
            (
                event.event.id,
                command(
                    buyer=user(number),
                    key=f"{place}",
                    lines=[(offer.id, 1) for offer in event.offers[:: (-1) ** number]],
                ),
            )
            for place, event in enumerate(turned)
        ]
        return told(await submitters[number % 3].ask(asked, FOREVER))

    results = await asyncio.gather(*(buy(number) for number in range(1, 61)))
    answers = [answer for result in results for answer in result]
    assert (answers.count("confirmed"), answers.count("sold_out")) == (60, 300)
    for event in events:
        assert await system.counts(event) == [(0, 10), (0, 10)]
    await system.assert_consistent()
