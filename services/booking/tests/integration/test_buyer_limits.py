"""Limits per buyer on a real PostgreSQL: over all bookings, concurrent, and released."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from booking.application.booking_context import BookingResult, CreatedBooking
from booking.application.commands.cancel_booking import cancel_booking
from booking.application.commands.confirm_booking import confirm_booking
from booking.application.commands.extend_hold import extend_hold
from booking.domain.booking import Booking, BookingStatus
from booking.domain.booking_creation import CreateBookingCommand
from booking.domain.errors import (
    BookingClosed,
    EventCancelled,
    HoldAlreadyExtended,
    HoldExpired,
    MaxPerBuyerExceeded,
    TooManyHolds,
)
from booking.domain.event import CatalogEvent, EventStatus
from goticket_kernel.actor import Actor
from goticket_kernel.errors import DomainError, Forbidden

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem, OpenReplica

Users = Callable[..., Actor]
Commands = Callable[..., CreateBookingCommand]
LONGER = timedelta(minutes=5)


async def open_limited(system: "BookingSystem", of_event: int, *of_types: int) -> CatalogEvent:
    """An event with a limit, and a ticket type for each of the types' limits."""
    catalog = system.add_to_catalog(*(100 for _ in of_types))
    limited = CatalogEvent(
        replace(catalog.event, max_per_buyer=of_event),
        tuple(
            replace(offer, max_per_buyer=limit)
            for offer, limit in zip(catalog.offers, of_types, strict=True)
        ),
    )
    await system.update_event(limited)
    return limited


def outcomes(results: Sequence[BookingResult]) -> list[str]:
    return [
        result.booking.status.value if isinstance(result, CreatedBooking) else result.code
        for result in results
        if isinstance(result, CreatedBooking | DomainError)
    ]


async def test_a_limit_counts_over_bookings_and_within_a_batch(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    event = await open_limited(system, 0, 4)
    await system.book(event, command(2))
    results = await system.create(
        event, command(1), command(2), command(1, hold=True), command(1), command(4, buyer=user(2))
    )
    assert outcomes(results) == [
        "confirmed",
        "max_per_buyer_exceeded",
        "held",
        "max_per_buyer_exceeded",
        "confirmed",
    ]
    rejected = results[3]
    assert isinstance(rejected, MaxPerBuyerExceeded)
    type_id = str(event.offers[0].id)
    assert rejected.metadata == {"ticket_type_id": type_id, "limit": "4", "taken": "4"}


async def test_cancelled_and_expired_tickets_no_longer_count(
    system: "BookingSystem", command: Commands
) -> None:
    event = await open_limited(system, 3, 0)
    held = await system.book(event, command(1, hold=True))
    bought = await system.book(event, command(2))
    assert outcomes(await system.create(event, command(1))) == ["max_per_buyer_exceeded"]
    await cancel_booking(bought.id, command().buyer, bookings=system.bookings, now=system.clock)
    assert outcomes(await system.create(event, command(2), command(1))) == [
        "confirmed",
        "max_per_buyer_exceeded",
    ]
    system.clock.advance(timedelta(minutes=10))
    assert await system.expire_holds(event) == 1
    assert outcomes(await system.create(event, command(1), command(1))) == [
        "confirmed",
        "max_per_buyer_exceeded",
    ]
    assert held.status is BookingStatus.HELD
    await system.assert_consistent()


async def test_a_repeat_returns_its_booking_at_the_limit(
    system: "BookingSystem", command: Commands
) -> None:
    event = await open_limited(system, 2, 0)
    first = await system.book(event, command(2, key="k"))
    [again] = await system.create(event, command(2, key="k"))
    assert isinstance(again, CreatedBooking)
    assert (again.booking, again.replayed) == (first, True)


@pytest.mark.parametrize("name_the_types", [True, False])
async def test_a_limit_holds_for_concurrent_commands_on_several_replicas(
    name_the_types: bool,
    system: "BookingSystem",
    command: Commands,
    open_replica: "OpenReplica",
) -> None:
    types = 2 if name_the_types else 1
    event = await open_limited(system, 5, *[0] * types)
    replicas = [system.new_context((await open_replica(5))[0]) for _ in range(3)]
    barrier = asyncio.Barrier(30)

    async def buy(number: int) -> str:
        await barrier.wait()
        lines = [(event.offers[number % types].id, 1)] if name_the_types else []
        results = await system.create(event, command(lines=lines), context=replicas[number % 3])
        return outcomes(results)[0]

    results = Counter(await asyncio.gather(*(buy(number) for number in range(30))))
    assert results == {"confirmed": 5, "max_per_buyer_exceeded": 25}
    await system.assert_consistent()


async def test_the_holds_of_a_buyer_are_limited_over_all_ticket_types(
    system: "BookingSystem", command: Commands, user: Users, open_replica: "OpenReplica"
) -> None:
    event, other = await system.open_event(50, 50), await system.open_event(50)
    types = [offer.id for offer in event.offers]
    contexts = [
        replace(system.new_context((await open_replica(5))[0]), max_holds=3) for _ in range(2)
    ]

    async def hold(number: int) -> str:
        wanted = command(lines=[(types[number % 2], 1)], hold=True)
        return outcomes(await system.create(event, wanted, context=contexts[number % 2]))[0]

    counts = Counter(await asyncio.gather(*(hold(number) for number in range(10))))
    assert counts == {"held": 3, "too_many_holds": 7}
    results = await system.create(
        event,
        command(lines=[(types[0], 1)]),
        command(lines=[(types[0], 1)], hold=True, buyer=user(2)),
        command(lines=[(types[0], 1), (types[1], 1)], hold=True),
        context=contexts[0],
    )
    assert outcomes(results) == ["confirmed", "held", "too_many_holds"]
    assert isinstance(results[2], TooManyHolds)
    assert results[2].metadata == {"limit": "3"}
    assert outcomes(await system.create(other, command(hold=True), context=contexts[0])) == ["held"]


async def test_a_hold_is_extended_once(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    event = await system.open_event(10)
    hold = await system.book(event, command(2, hold=True))
    assert hold.expires_at is not None

    async def extend(actor: Actor) -> Booking:
        found = await extend_hold(
            hold.id, actor, bookings=system.bookings, now=system.clock, by=LONGER
        )
        return found.booking

    with pytest.raises(Forbidden):
        await extend(user(2))
    longer = await extend(command().buyer)
    assert (longer.expires_at, longer.version) == (hold.expires_at + LONGER, 2)
    stored = await system.bookings.find_booking(hold.id)
    assert stored is not None
    assert stored.booking == longer
    assert await system.outbox_count("held") == 2
    with pytest.raises(HoldAlreadyExtended):
        await extend(command().buyer)
    system.clock.time = hold.expires_at + timedelta(minutes=1)
    assert await system.expire_holds(event) == 0
    confirmed = await confirm_booking(
        hold.id,
        command().buyer,
        bookings=system.bookings,
        issue=system.context.issue,
        now=system.clock,
    )
    assert len(confirmed.booking.tickets) == 2
    with pytest.raises(BookingClosed):
        await extend(command().buyer)
    await system.assert_consistent()


async def test_only_an_open_hold_can_be_extended(
    system: "BookingSystem", command: Commands
) -> None:
    event = await system.open_event(10)
    late = await system.book(event, command(hold=True))

    async def extend() -> object:
        return await extend_hold(
            late.id, command().buyer, bookings=system.bookings, now=system.clock, by=LONGER
        )

    cancelled = replace(event.event, status=EventStatus.CANCELLED, version=2)
    await system.update_event(replace(event, event=cancelled))
    with pytest.raises(EventCancelled):
        await extend()
    system.clock.advance(timedelta(minutes=10))
    with pytest.raises(HoldExpired):
        await extend()
    await system.expire_holds(event)
    with pytest.raises(HoldExpired):
        await extend()
