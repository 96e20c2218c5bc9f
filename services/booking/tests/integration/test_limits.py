"""Limits per buyer on a real PostgreSQL: over all bookings, all at once, and given back."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from booking.application.cancel_booking import cancel_booking
from booking.application.confirm_booking import confirm_booking
from booking.application.expire_holds import expire_holds
from booking.application.extend_hold import extend_hold
from booking.application.place_orders import Outcome
from booking.domain.actor import Actor
from booking.domain.booking import Booking, BookingStatus
from booking.domain.errors import (
    BookingClosed,
    DomainError,
    EventCancelled,
    Forbidden,
    HoldAlreadyExtended,
    HoldExpired,
    MaxPerBuyerExceeded,
    TooManyHolds,
)
from booking.domain.event import CatalogEvent, EventStatus
from booking.domain.placing import BookingRequest

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import Hall, OpenReplica

People = Callable[..., Actor]
Wishes = Callable[..., BookingRequest]
LONGER = timedelta(minutes=5)


async def open_limited(hall: "Hall", of_event: int, *of_types: int) -> CatalogEvent:
    """An event with a limit, and a ticket type for each of the types' limits."""
    catalog = hall.announce(*(100 for _ in of_types))
    limited = CatalogEvent(
        replace(catalog.event, max_per_buyer=of_event),
        tuple(
            replace(offer, max_per_buyer=limit)
            for offer, limit in zip(catalog.offers, of_types, strict=True)
        ),
    )
    await hall.change(limited)
    return limited


def told(outcomes: list[Outcome]) -> list[str]:
    return [
        outcome.code if isinstance(outcome, DomainError) else outcome.booking.status.value
        for outcome in outcomes
    ]


async def test_a_limit_counts_over_bookings_and_within_a_batch(
    hall: "Hall", wish: Wishes, person: People
) -> None:
    event = await open_limited(hall, 0, 4)
    await hall.book(event, wish(2))
    outcomes = await hall.ask(
        event, wish(1), wish(2), wish(1, hold=True), wish(1), wish(4, buyer=person(2))
    )
    assert told(outcomes) == [
        "confirmed",
        "max_per_buyer_exceeded",
        "held",
        "max_per_buyer_exceeded",
        "confirmed",
    ]
    refused = outcomes[3]
    assert isinstance(refused, MaxPerBuyerExceeded)
    type_id = str(event.offers[0].id)
    assert refused.metadata == {"ticketTypeId": type_id, "limit": "4", "taken": "4"}


async def test_what_is_given_back_may_be_had_again(hall: "Hall", wish: Wishes) -> None:
    event = await open_limited(hall, 3, 0)
    held = await hall.book(event, wish(1, hold=True))
    bought = await hall.book(event, wish(2))
    assert told(await hall.ask(event, wish(1))) == ["max_per_buyer_exceeded"]
    await cancel_booking(bought.id, wish().buyer, bookings=hall.bookings, now=hall.clock)
    assert told(await hall.ask(event, wish(2), wish(1))) == [
        "confirmed",
        "max_per_buyer_exceeded",
    ]
    hall.clock.advance(timedelta(minutes=10))
    assert await expire_holds(event.event.id, bookings=hall.bookings, now=hall.clock) == 1
    assert told(await hall.ask(event, wish(1), wish(1))) == ["confirmed", "max_per_buyer_exceeded"]
    assert held.status is BookingStatus.HELD
    await hall.must_add_up()


async def test_a_repeat_is_answered_though_the_limit_is_reached(hall: "Hall", wish: Wishes) -> None:
    event = await open_limited(hall, 2, 0)
    first = await hall.book(event, wish(2, key="k"))
    [again] = await hall.ask(event, wish(2, key="k"))
    assert not isinstance(again, DomainError)
    assert (again.booking, again.replayed) == (first, True)


@pytest.mark.parametrize("name_the_types", [True, False])
async def test_a_limit_holds_however_many_replicas_are_asked_at_once(
    name_the_types: bool,
    hall: "Hall",
    wish: Wishes,
    open_replica: "OpenReplica",
) -> None:
    types = 2 if name_the_types else 1
    event = await open_limited(hall, 5, *[0] * types)
    replicas = [hall.another_office((await open_replica(5))[0]) for _ in range(3)]
    barrier = asyncio.Barrier(30)

    async def buy(number: int) -> str:
        await barrier.wait()
        lines = [(event.offers[number % types].id, 1)] if name_the_types else []
        outcomes = await hall.ask(event, wish(lines=lines), office=replicas[number % 3])
        return told(outcomes)[0]

    results = Counter(await asyncio.gather(*(buy(number) for number in range(30))))
    assert results == {"confirmed": 5, "max_per_buyer_exceeded": 25}
    await hall.must_add_up()


async def test_holds_of_a_buyer_are_capped_however_they_are_asked_for(
    hall: "Hall", wish: Wishes, person: People, open_replica: "OpenReplica"
) -> None:
    event, other = await hall.open_event(50, 50), await hall.open_event(50)
    types = [offer.id for offer in event.offers]
    offices = [
        replace(hall.another_office((await open_replica(5))[0]), max_holds=3) for _ in range(2)
    ]

    async def hold(number: int) -> str:
        wanted = wish(lines=[(types[number % 2], 1)], hold=True)
        return told(await hall.ask(event, wanted, office=offices[number % 2]))[0]

    results = Counter(await asyncio.gather(*(hold(number) for number in range(10))))
    assert results == {"held": 3, "too_many_holds": 7}
    outcomes = await hall.ask(
        event,
        wish(lines=[(types[0], 1)]),
        wish(lines=[(types[0], 1)], hold=True, buyer=person(2)),
        wish(lines=[(types[0], 1), (types[1], 1)], hold=True),
        office=offices[0],
    )
    assert told(outcomes) == ["confirmed", "held", "too_many_holds"]
    assert isinstance(outcomes[2], TooManyHolds)
    assert outcomes[2].metadata == {"limit": "3"}
    assert told(await hall.ask(other, wish(hold=True), office=offices[0])) == ["held"]


async def test_a_hold_is_lengthened_once(hall: "Hall", wish: Wishes, person: People) -> None:
    event = await hall.open_event(10)
    hold = await hall.book(event, wish(2, hold=True))
    assert hold.expires_at is not None

    async def extend(actor: Actor) -> Booking:
        found = await extend_hold(hold.id, actor, bookings=hall.bookings, now=hall.clock, by=LONGER)
        return found.booking

    with pytest.raises(Forbidden):
        await extend(person(2))
    longer = await extend(wish().buyer)
    assert (longer.expires_at, longer.version) == (hold.expires_at + LONGER, 2)
    stored = await hall.bookings.find_booking(hold.id)
    assert stored is not None
    assert stored.booking == longer
    assert await hall.outbox("held") == 2
    with pytest.raises(HoldAlreadyExtended):
        await extend(wish().buyer)
    hall.clock.time = hold.expires_at + timedelta(minutes=1)
    assert await expire_holds(event.event.id, bookings=hall.bookings, now=hall.clock) == 0
    confirmed = await confirm_booking(
        hold.id, wish().buyer, bookings=hall.bookings, issue=hall.office.issue, now=hall.clock
    )
    assert len(confirmed.booking.tickets) == 2
    with pytest.raises(BookingClosed):
        await extend(wish().buyer)
    await hall.must_add_up()


async def test_only_a_hold_that_lasts_can_be_lengthened(hall: "Hall", wish: Wishes) -> None:
    event = await hall.open_event(10)
    late = await hall.book(event, wish(hold=True))

    async def extend() -> object:
        return await extend_hold(
            late.id, wish().buyer, bookings=hall.bookings, now=hall.clock, by=LONGER
        )

    cancelled = replace(event.event, status=EventStatus.CANCELLED, version=2)
    await hall.change(replace(event, event=cancelled))
    with pytest.raises(EventCancelled):
        await extend()
    hall.clock.advance(timedelta(minutes=10))
    with pytest.raises(HoldExpired):
        await extend()
    await expire_holds(event.event.id, bookings=hall.bookings, now=hall.clock)
    with pytest.raises(HoldExpired):
        await extend()
