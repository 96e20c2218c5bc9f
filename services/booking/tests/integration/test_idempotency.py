"""Idempotency keys on a real PostgreSQL: repeats, reuse, and what is still running."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from booking.application.cancel_booking import cancel_booking
from booking.application.confirm_booking import confirm_booking
from booking.application.place_orders import Placed
from booking.domain.actor import Actor
from booking.domain.booking import TicketStatus
from booking.domain.errors import (
    Busy,
    DomainError,
    IdempotencyKeyReused,
    RequestInProgress,
    SoldOut,
)
from booking.domain.placing import BookingRequest
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


async def test_refused_requests_leave_nothing_behind(hall: "Hall", wish: Wishes) -> None:
    event = await hall.open_event(1)
    before = await hall.rows()
    [refused] = await hall.ask(event, wish(2, key="again"))
    assert isinstance(refused, SoldOut)
    assert await hall.rows() == before
    await hall.change(
        replace(
            event,
            event=replace(event.event, version=2),
            offers=(replace(event.offers[0], capacity=2),),
        )
    )
    [granted] = await hall.ask(event, wish(2, key="again"))
    assert isinstance(granted, Placed)
    assert not granted.replayed


async def test_a_repeated_key_gets_the_first_answer_in_its_current_state(
    hall: "Hall", wish: Wishes
) -> None:
    event = await hall.open_event(4)
    first = await hall.book(event, wish(4, key="k"))
    rows = await hall.rows()
    [again] = await hall.ask(event, wish(4, key="k"))
    assert again == Placed(first, event.event, replayed=True)
    [split] = await hall.ask(event, wish(key="other", lines=[(event.offers[0].id, 1)] * 2))
    assert isinstance(split, SoldOut)
    assert await hall.rows() == rows


async def test_a_repeat_shows_what_became_of_the_booking_and_changes_nothing(
    hall: "Hall", wish: Wishes, person: People
) -> None:
    event = await hall.open_event(10)
    kept = await hall.book(event, wish(2, key="kept", hold=True))
    given_up = await hall.book(event, wish(3, key="given-up"))
    confirmed = await confirm_booking(
        kept.id, person(1), bookings=hall.bookings, issue=hall.office.issue, now=hall.clock
    )
    cancelled = await cancel_booking(given_up.id, person(1), bookings=hall.bookings, now=hall.clock)
    rows = await hall.rows()
    repeats = await hall.ask(event, wish(2, key="kept", hold=True), wish(3, key="given-up"))
    assert repeats == [
        Placed(found.booking, event.event, replayed=True) for found in (confirmed, cancelled)
    ]
    assert answers(repeats) == ["confirmed", "cancelled"]
    assert {ticket.status for ticket in cancelled.booking.tickets} == {TicketStatus.VOID}
    assert await hall.rows() == rows
    assert await hall.counts(event) == [(0, 2)]


async def test_a_key_with_another_body_or_event_or_buyer(
    hall: "Hall", wish: Wishes, person: People
) -> None:
    event, other = await hall.open_event(10), await hall.open_event(10)
    await hall.book(event, wish(1, key="k"))
    [body, hold] = await hall.ask(event, wish(2, key="k"), wish(1, key="k", hold=True))
    [elsewhere] = await hall.ask(other, wish(1, key="k"))
    [somebody] = await hall.ask(event, wish(1, key="k", buyer=person(2)))
    for reused in (body, hold, elsewhere):
        assert isinstance(reused, IdempotencyKeyReused)
    assert isinstance(somebody, Placed)
    assert await hall.counts(event) == [(0, 2)]


async def test_repeats_inside_one_batch_share_the_first_answer(hall: "Hall", wish: Wishes) -> None:
    event = await hall.open_event(10)
    first, again, other = await hall.ask(
        event, wish(2, key="k"), wish(2, key="k"), wish(3, key="k")
    )
    assert isinstance(first, Placed)
    assert again == replace(first, replayed=True)
    assert isinstance(other, IdempotencyKeyReused)
    assert await hall.counts(event) == [(0, 2)]


async def test_fifty_concurrent_repeats_make_one_booking_and_fifty_equal_answers(
    hall: "Hall", wish: Wishes, open_replica: "OpenReplica"
) -> None:
    event = await hall.open_event(10)
    replicas = [hall.another_office((await open_replica(5))[0]) for _ in range(3)]
    barrier = asyncio.Barrier(50)

    async def ask(number: int) -> Placed:
        await barrier.wait()
        [outcome] = await hall.ask(event, wish(2, key="k"), office=replicas[number % 3])
        assert isinstance(outcome, Placed)
        return outcome

    outcomes = await asyncio.gather(*(ask(number) for number in range(50)))
    assert len({outcome.booking for outcome in outcomes}) == 1
    assert sum(not outcome.replayed for outcome in outcomes) == 1
    assert (await hall.rows())["bookings"] == 1


async def test_one_key_at_two_events_at_once_books_one(
    hall: "Hall", wish: Wishes, open_replica: "OpenReplica"
) -> None:
    events = [await hall.open_event(10) for _ in range(10)]
    bookings, _ = await open_replica(10)
    office = hall.another_office(bookings)
    barrier = asyncio.Barrier(len(events))

    async def ask(number: int) -> str:
        await barrier.wait()
        return answers(await hall.ask(events[number], wish(1, key="k"), office=office))[0]

    results = Counter(await asyncio.gather(*(ask(number) for number in range(len(events)))))
    assert results == {"confirmed": 1, "idempotency_key_reused": 9}
    assert (await hall.rows())["bookings"] == 1


async def test_a_stuck_lock_is_a_prompt_answer(
    hall: "Hall", wish: Wishes, open_replica: "OpenReplica"
) -> None:
    event = await hall.open_event(10)
    bookings, _ = await open_replica(5, lock_timeout_ms=200)
    office = hall.another_office(bookings)
    async with hall.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT * FROM booking.inventory FOR UPDATE")
        [busy] = await hall.ask(event, wish(1), office=office)
        assert isinstance(busy, Busy)
        both = await asyncio.gather(
            *(hall.ask(event, wish(1, key="k"), office=office) for _ in range(2))
        )
        assert "request_in_progress" in [answers(outcomes)[0] for outcomes in both]
    [free] = await hall.ask(event, wish(1, key="k"), office=office)
    assert isinstance(free, Placed)


async def test_while_a_table_is_being_altered_everybody_is_told_to_come_back(
    hall: "Hall", wish: Wishes, open_replica: "OpenReplica"
) -> None:
    event = await hall.open_event(10)
    bookings, _ = await open_replica(5, lock_timeout_ms=200)
    office = hall.another_office(bookings)
    async with hall.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE booking.outbox IN ACCESS EXCLUSIVE MODE")
        outcomes = await hall.ask(event, wish(1, key="k"), wish(1), office=office)
        assert [type(outcome) for outcome in outcomes] == [Busy, Busy]
    [free] = await hall.ask(event, wish(1, key="k"), office=office)
    assert isinstance(free, Placed)


async def test_a_key_held_by_a_transaction_that_does_not_finish_is_in_progress(
    hall: "Hall", wish: Wishes, open_replica: "OpenReplica"
) -> None:
    event = await hall.open_event(10)
    bookings, _ = await open_replica(5, lock_timeout_ms=200)
    office = hall.another_office(bookings)
    async with hall.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO booking.idempotency_keys VALUES ($1, 'k', $2, '', $3, now())",
            wish().buyer.user_id,
            new_id(),
            new_id(),
        )
        stuck, free = await hall.ask(event, wish(1, key="k"), wish(1, key="free"), office=office)
        assert isinstance(stuck, RequestInProgress)
        assert isinstance(free, Placed)
    assert await hall.counts(event) == [(0, 1)]
