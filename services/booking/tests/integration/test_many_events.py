"""One transaction for several events on a real PostgreSQL: each is decided as if on its own."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from booking.application.booking_submitter import (
    BatchedSubmitter,
    batching_limits,
    open_batcher,
)
from booking.application.order import Order, prepare
from booking.application.place_bookings import Answered
from booking.application.place_orders import BoxOffice, Outcome, Placed, place_orders
from booking.domain.actor import Actor
from booking.domain.errors import DomainError
from booking.domain.event import CatalogEvent
from booking.domain.placing import BookingRequest
from goticket_platform.batching import Batcher
from goticket_platform.ids import new_id
from goticket_platform.postgres import is_transient

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import Hall, OpenReplica

People = Callable[..., Actor]
Wishes = Callable[..., BookingRequest]
FOREVER = float("inf")


def orders_of(office: BoxOffice, *asked: tuple[CatalogEvent, BookingRequest]) -> list[Order]:
    return [
        prepare(event.event.id, request, new_id=office.new_id, issue=office.issue)
        for event, request in asked
    ]


def told(outcomes: Sequence[Outcome | Exception | None]) -> list[str]:
    return [
        outcome.code
        if isinstance(outcome, DomainError)
        else outcome.booking.status.value
        if isinstance(outcome, Placed)
        else repr(outcome)
        for outcome in outcomes
    ]


def submitter_of(office: BoxOffice, **limits: int) -> BatchedSubmitter:
    batcher: Batcher[UUID, Order, Outcome] = open_batcher(
        partial(place_orders, office=office),
        is_transient=is_transient,
        limits=batching_limits(**limits),
    )
    return BatchedSubmitter(office, batcher)


async def test_each_order_is_decided_against_the_stock_of_its_own_event(
    hall: "Hall", wish: Wishes, person: People
) -> None:
    plenty, few, limited = [await hall.open_event(capacity) for capacity in (10, 1, 10)]
    seats = await hall.open_event(2, 2)
    unknown = replace(plenty, event=replace(plenty.event, id=new_id()))
    limited = replace(limited, event=replace(limited.event, version=2, max_per_buyer=2))
    await hall.change(limited)
    await hall.book(limited, wish(1))
    office = replace(hall.office, max_holds=1)
    orders = orders_of(
        office,
        (few, wish(2)),
        (plenty, wish(3)),
        (unknown, wish()),
        (limited, wish(2)),
        (few, wish(1)),
        (limited, wish(2, buyer=person(2))),
        (plenty, wish(1, hold=True)),
        (plenty, wish(1, hold=True)),
        (few, wish(1)),
        (seats, wish(lines=[(seats.offers[1].id, 2)])),
        (seats, wish(lines=[(plenty.offers[0].id, 1)])),
    )
    outcomes = await place_orders(orders, office)
    assert told(outcomes) == [
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
    assert await hall.counts(plenty) == [(1, 3)]
    assert await hall.counts(few) == [(0, 1)]
    assert await hall.counts(limited) == [(0, 3)]
    assert await hall.counts(seats) == [(0, 0), (0, 2)]
    await hall.must_add_up()
    for outcome, order in zip(outcomes, orders, strict=True):
        if isinstance(outcome, Placed):
            stored = await hall.bookings.find_booking(outcome.booking.id)
            assert stored is not None
            assert (stored.booking, stored.event.id) == (outcome.booking, order.event_id)
    partitions = await hall.pool.fetch("SELECT DISTINCT partition_id FROM booking.outbox")
    assert len(partitions) == 4


async def test_keys_are_of_one_event_each(hall: "Hall", wish: Wishes, person: People) -> None:
    one, other = await hall.open_event(10), await hall.open_event(10)
    before = await hall.book(one, wish(1, key="before"))
    orders = orders_of(
        hall.office,
        (one, wish(1, key="before")),
        (other, wish(1, key="before")),
        (other, wish(1, key="new")),
        (one, wish(1, key="new")),
        (other, wish(1, key="new")),
        (one, wish(1, key="new", buyer=person(2))),
    )
    outcomes = await place_orders(orders, hall.office)
    assert told(outcomes) == [
        "confirmed",
        "idempotency_key_reused",
        "confirmed",
        "idempotency_key_reused",
        "confirmed",
        "confirmed",
    ]
    replayed = [outcome.replayed for outcome in outcomes if isinstance(outcome, Placed)]
    assert replayed == [True, False, True, False]
    assert outcomes[0] == Placed(before, one.event, replayed=True)
    assert (await hall.counts(one), await hall.counts(other)) == ([(0, 2)], [(0, 1)])


async def test_an_event_locked_elsewhere_holds_up_nobody_else(hall: "Hall", wish: Wishes) -> None:
    free, locked = await hall.open_event(10), await hall.open_event(10)
    submitter = submitter_of(hall.office)
    ids = [locked.event.id, free.event.id]
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(hall.pool.acquire())
        await stack.enter_async_context(connection.transaction())
        await connection.execute(
            "SELECT FROM booking.inventory WHERE event_id = $1 FOR UPDATE", locked.event.id
        )
        orders = orders_of(hall.office, (locked, wish()), (free, wish()))
        assert told(await place_orders(orders, hall.office)) == ["None", "confirmed"]
        calls = [
            asyncio.create_task(submitter.submit([(event_id, wish())], FOREVER)) for event_id in ids
        ]
        assert told(await calls[1]) == ["confirmed"]
        assert not calls[0].done()
    assert told(await calls[0]) == ["confirmed"]
    assert (await hall.counts(free), await hall.counts(locked)) == ([(0, 2)], [(0, 1)])
    await hall.must_add_up()


async def test_a_key_that_is_stuck_in_one_event_holds_up_no_other(
    hall: "Hall", wish: Wishes, open_replica: "OpenReplica"
) -> None:
    one, other = await hall.open_event(10), await hall.open_event(10)
    impatient, _ = await open_replica(lock_timeout_ms=50)
    office = hall.another_office(impatient)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(hall.pool.acquire())
        await stack.enter_async_context(connection.transaction())
        await connection.execute(
            "INSERT INTO booking.idempotency_keys VALUES ($1, 'stuck', $2, '', $2, now())",
            UUID(int=1),
            new_id(),
        )
        asked = [(one.event.id, wish(key="stuck")), (other.event.id, wish(key="mine"))]
        answers = await submitter_of(office).submit(asked, FOREVER)
        assert told(answers) == ["request_in_progress", "confirmed"]
    assert (await hall.counts(one), await hall.counts(other)) == ([(0, 0)], [(0, 1)])


async def test_events_new_here_are_fetched_and_a_dead_catalog_fails_no_neighbour(
    hall: "Hall", wish: Wishes
) -> None:
    known = await hall.open_event(10)
    new, newer = hall.announce(10), hall.announce(1)
    asked = [(event.event.id, wish()) for event in (new, known, newer, newer)]
    submitter = submitter_of(hall.office)
    answers: list[Answered] = await submitter.submit([*asked, (new_id(), wish())], FOREVER)
    assert told(answers) == ["confirmed"] * 3 + ["sold_out", "event_not_found"]
    assert hall.catalog.asked == 3
    await hall.must_add_up()


@pytest.mark.parametrize("crowd", [2, 100])
async def test_replicas_that_sell_the_same_events_never_wait_in_a_circle_nor_oversell(
    crowd: int, hall: "Hall", wish: Wishes, person: People, open_replica: "OpenReplica"
) -> None:
    events = [await hall.open_event(10, 10) for _ in range(6)]
    submitters = [
        submitter_of(hall.another_office((await open_replica(4))[0]), crowd=crowd) for _ in range(3)
    ]
    barrier = asyncio.Barrier(60)

    async def buy(number: int) -> list[str]:
        await barrier.wait()
        turned = events[number % 6 :] + events[: number % 6]
        asked = [
            (
                event.event.id,
                wish(
                    buyer=person(number),
                    key=f"{place}",
                    lines=[(offer.id, 1) for offer in event.offers[:: (-1) ** number]],
                ),
            )
            for place, event in enumerate(turned)
        ]
        return told(await submitters[number % 3].submit(asked, FOREVER))

    results = await asyncio.gather(*(buy(number) for number in range(1, 61)))
    answers = [answer for result in results for answer in result]
    assert (answers.count("confirmed"), answers.count("sold_out")) == (60, 300)
    for event in events:
        assert await hall.counts(event) == [(0, 10), (0, 10)]
    await hall.must_add_up()
