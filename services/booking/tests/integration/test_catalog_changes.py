"""Following the catalog on a real PostgreSQL: versions, capacities, shrinks, cancellations."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest
from booking.application.apply_event import apply_event
from booking.application.close_cancelled_event import close_cancelled_event
from booking.application.place_orders import Placed
from booking.application.shrink_capacity import shrink_capacity
from booking.domain.actor import Actor
from booking.domain.errors import CapacityBelowTaken, EventCancelled, SoldOut
from booking.domain.event import CatalogEvent, EventStatus
from booking.domain.placing import BookingRequest
from booking.entrypoints.sweeper import Sweeper
from goticket_platform.ids import new_id
from goticket_platform.lifecycle import Stop

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import Hall, OpenReplica

People = Callable[..., Actor]
Wishes = Callable[..., BookingRequest]


def resized(catalog: CatalogEvent, version: int, *capacities: int) -> CatalogEvent:
    offers = zip(catalog.offers, capacities, strict=False)
    return replace(
        catalog,
        event=replace(catalog.event, version=version),
        offers=tuple(replace(offer, capacity=capacity) for offer, capacity in offers),
    )


def called_off(catalog: CatalogEvent) -> CatalogEvent:
    return replace(catalog, event=replace(catalog.event, version=2, status=EventStatus.CANCELLED))


async def capacities(hall: "Hall", event: CatalogEvent) -> list[tuple[int, bool]]:
    [stock] = await hall.bookings.find_stocks([event.event.id])
    kinds = sorted(stock.ticket_types.values(), key=lambda kind: kind.id)
    return [(kind.capacity, kind.active) for kind in kinds]


async def shrink(hall: "Hall", event: CatalogEvent, *wanted: int) -> None:
    await shrink_capacity(
        event.event.id,
        {offer.id: capacity for offer, capacity in zip(event.offers, wanted, strict=True)},
        bookings=hall.bookings,
        stocks=hall.bookings,
        provision=hall.office.provision,
        now=hall.clock,
    )


async def sweep(hall: "Hall") -> None:
    await Sweeper(hall.bookings, hall.bookings, hall.catalog, hall.clock).sweep(Stop())


async def test_older_and_equal_versions_are_ignored(hall: "Hall") -> None:
    event = await hall.open_event(10)
    await hall.change(resized(event, 3, 30))
    await hall.change(resized(event, 2, 20))
    await hall.change(resized(event, 3, 33))
    assert await capacities(hall, event) == [(30, True)]


async def test_a_message_counts_once(hall: "Hall") -> None:
    event = await hall.open_event(10)
    message = new_id()
    await apply_event(resized(event, 2, 20), bookings=hall.bookings, message_id=message)
    await apply_event(resized(event, 3, 30), bookings=hall.bookings, message_id=message)
    assert await capacities(hall, event) == [(20, True)]


async def test_growth_is_on_sale_and_removed_types_are_not(hall: "Hall", wish: Wishes) -> None:
    event = await hall.open_event(1, 1)
    first, second = (offer.id for offer in event.offers)
    await hall.ask(event, wish(lines=[(first, 1)]), wish(lines=[(second, 1)]))
    await hall.change(resized(event, 2, 2))
    grown, removed = await hall.ask(event, wish(lines=[(first, 1)]), wish(lines=[(second, 1)]))
    assert isinstance(grown, Placed)
    assert getattr(removed, "code", None) == "unknown_ticket_type"
    assert await capacities(hall, event) == [(2, True), (1, False)]


async def test_a_capacity_below_what_is_taken_is_clamped_and_logged(
    hall: "Hall", wish: Wishes, caplog: pytest.LogCaptureFixture
) -> None:
    event = await hall.open_event(10)
    await hall.ask(event, wish(4), wish(2, hold=True))
    await hall.change(resized(event, 2, 3))
    assert await capacities(hall, event) == [(6, True)]
    assert "stays 6" in caplog.text


async def test_a_ticket_type_added_a_moment_ago_is_found_at_the_catalog(
    hall: "Hall", wish: Wishes
) -> None:
    event = await hall.open_event(10)
    new_type = replace(event.offers[0], id=new_id())
    hall.catalog.events[event.event.id] = replace(
        event, event=replace(event.event, version=2), offers=(*event.offers, new_type)
    )
    [outcome] = await hall.ask(event, wish(lines=[(new_type.id, 1)]))
    assert isinstance(outcome, Placed)


async def test_a_draft_published_a_moment_ago_is_found_at_the_catalog(
    hall: "Hall", wish: Wishes
) -> None:
    draft = hall.announce(10, status=EventStatus.DRAFT)
    await hall.ask(draft, wish(1))
    published = replace(draft.event, version=2, status=EventStatus.PUBLISHED)
    hall.catalog.events[draft.event.id] = replace(draft, event=published)
    [outcome] = await hall.ask(draft, wish(1))
    assert isinstance(outcome, Placed)


async def test_a_crowd_in_front_of_an_unknown_event_asks_the_catalog_once(
    hall: "Hall", wish: Wishes, person: People
) -> None:
    event = hall.announce(100)
    outcomes = await asyncio.gather(
        *(hall.ask(event, wish(1, buyer=person(number))) for number in range(1, 51))
    )
    assert all(isinstance(outcome, Placed) for [outcome] in outcomes)
    # One flight; a second one can only start for buyers who looked before it landed.
    assert hall.catalog.asked <= 2


@pytest.mark.parametrize("name_the_type", [True, False])
async def test_a_type_that_appears_while_the_stock_is_being_locked_is_locked_too(
    name_the_type: bool, hall: "Hall", monkeypatch: pytest.MonkeyPatch
) -> None:
    event = hall.announce(10)
    wanted = {event.offers[0].id} if name_the_type else None
    async with hall.bookings.transaction() as transaction:
        connection = transaction._connection
        fetch = connection.fetch

        async def fetch_late(query: str, *arguments: object) -> list[asyncpg.Record]:
            found = await fetch(query, *arguments)
            monkeypatch.setattr(transaction, "_connection", connection)
            await apply_event(event, bookings=hall.bookings)
            return found

        class LateConnection:
            """Lets the event arrive after the first statement."""

            fetch = staticmethod(fetch_late)

        monkeypatch.setattr(transaction, "_connection", LateConnection)
        stock = await transaction.lock_stock(event.event.id, wanted)
        assert stock is not None
        assert [kind.available for kind in stock.on_offer] == [10]
        blocked = await hall.pool.fetch("SELECT FROM booking.inventory FOR UPDATE SKIP LOCKED")
        assert blocked == []


async def test_a_shrink_is_all_or_nothing_and_stops_at_what_is_taken(
    hall: "Hall", wish: Wishes
) -> None:
    event = await hall.open_event(10, 10)
    await hall.ask(event, wish(lines=[(event.offers[1].id, 4)]))
    with pytest.raises(CapacityBelowTaken):
        await shrink(hall, event, 5, 3)
    assert await capacities(hall, event) == [(10, True), (10, True)]
    await shrink(hall, event, 5, 4)
    assert await capacities(hall, event) == [(5, True), (4, True)]


async def test_an_unknown_event_is_fetched_before_it_shrinks(hall: "Hall", wish: Wishes) -> None:
    event = hall.announce(10)
    await shrink(hall, event, 3)
    [refused] = await hall.ask(event, wish(4))
    assert isinstance(refused, SoldOut)


async def test_a_late_message_does_not_reopen_what_a_shrink_has_closed(hall: "Hall") -> None:
    event = await hall.open_event(10)
    await shrink(hall, event, 4)
    renamed = resized(event, 2, 10)  # was on its way when the shrink was asked for
    await hall.change(renamed)
    assert await capacities(hall, event) == [(4, True)]
    await hall.change(resized(event, 3, 4))
    hall.clock.advance(timedelta(minutes=1))
    assert await hall.bookings.events_to_resync(hall.clock()) == []


async def test_a_shrink_the_catalog_never_saved_heals(hall: "Hall") -> None:
    event = await hall.open_event(10)
    await shrink(hall, event, 4)
    await sweep(hall)
    assert await capacities(hall, event) == [(4, True)]
    hall.clock.advance(timedelta(seconds=30))
    await sweep(hall)
    assert await capacities(hall, event) == [(10, True)]
    assert await hall.bookings.events_to_resync(hall.clock()) == []


async def test_a_cancelled_event_cancels_its_bookings_in_batches(
    hall: "Hall", wish: Wishes, person: People
) -> None:
    event = await hall.open_event(5000)
    await hall.ask(event, *(wish(2, buyer=person(n), hold=n % 3 == 0) for n in range(1, 1201)))
    await hall.change(called_off(event))
    [refused] = await hall.ask(event, wish(1))
    assert isinstance(refused, EventCancelled)
    # A first batch, and then a crash: the sweeper knows what is left.
    after = await close_cancelled_event(event.event.id, bookings=hall.bookings, now=hall.clock)
    assert after is not None
    assert await hall.outbox("cancelled") == 500
    await sweep(hall)
    assert await hall.counts(event) == [(0, 0)]
    assert await hall.outbox("cancelled") == 1200
    reasons = await hall.pool.fetch(
        "SELECT DISTINCT payload->>'reason' AS r FROM booking.outbox WHERE type LIKE '%cancelled%'"
    )
    assert [row["r"] for row in reasons] == ["CANCELLATION_REASON_EVENT_CANCELLED"]
    assert await hall.bookings.events_to_close() == []
    await hall.must_add_up()


async def test_a_booking_that_is_locked_meanwhile_is_cancelled_in_the_next_pass(
    hall: "Hall", wish: Wishes
) -> None:
    event = await hall.open_event(10)
    await hall.ask(event, wish(1), wish(1))
    await hall.change(called_off(event))
    async with hall.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM booking.bookings LIMIT 1 FOR UPDATE")
        await sweep(hall)
    assert await hall.bookings.events_to_close() == [event.event.id]
    await sweep(hall)
    assert await hall.bookings.events_to_close() == []
    assert await hall.outbox("cancelled") == 2


async def test_buyers_and_the_cancellation_of_their_event_at_once_leave_nothing_open(
    hall: "Hall", wish: Wishes, person: People, open_replica: "OpenReplica"
) -> None:
    event = await hall.open_event(1000)
    office = hall.another_office((await open_replica(10))[0])

    async def buy(number: int) -> None:
        await hall.ask(event, wish(1, buyer=person(number)), office=office)

    buying = [asyncio.create_task(buy(number)) for number in range(1, 101)]
    await buying[20]
    await hall.change(called_off(event))
    await sweep(hall)
    await asyncio.gather(*buying)
    assert await hall.counts(event) == [(0, 0)]
    assert await hall.bookings.events_to_close() == []
    await hall.must_add_up()
