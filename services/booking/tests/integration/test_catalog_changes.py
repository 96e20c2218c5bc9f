"""Following the catalog on a real PostgreSQL: versions, capacities, shrinks, cancellations."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest
from booking.application.booking_context import CreatedBooking
from booking.application.commands.apply_event import apply_event
from booking.application.commands.close_cancelled_event import close_bookings
from booking.application.commands.shrink_capacity import shrink_capacity
from booking.domain.booking_creation import CreateBookingCommand
from booking.domain.errors import CapacityBelowTaken, EventCancelled, SoldOut
from booking.domain.event import CatalogEvent, EventStatus
from booking.entrypoints.sweeper import Sweeper
from goticket_kernel.actor import Actor
from goticket_platform.ids import new_id
from goticket_platform.lifecycle import Stop

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem, OpenReplica

Users = Callable[..., Actor]
Commands = Callable[..., CreateBookingCommand]


def resized(catalog: CatalogEvent, version: int, *capacities: int) -> CatalogEvent:
    offers = zip(catalog.offers, capacities, strict=False)
    return replace(
        catalog,
        event=replace(catalog.event, version=version),
        offers=tuple(replace(offer, capacity=capacity) for offer, capacity in offers),
    )


def cancelled(catalog: CatalogEvent) -> CatalogEvent:
    return replace(catalog, event=replace(catalog.event, version=2, status=EventStatus.CANCELLED))


async def capacities(system: "BookingSystem", event: CatalogEvent) -> list[tuple[int, bool]]:
    [inventory] = await system.bookings.find_inventories([event.event.id])
    kinds = sorted(inventory.ticket_types.values(), key=lambda kind: kind.id)
    return [(kind.capacity, kind.active) for kind in kinds]


async def shrink(system: "BookingSystem", event: CatalogEvent, *wanted: int) -> None:
    await shrink_capacity(
        event.event.id,
        {offer.id: capacity for offer, capacity in zip(event.offers, wanted, strict=True)},
        bookings=system.bookings,
        inventories=system.bookings,
        provision=system.context.provision,
        now=system.clock,
    )


async def sweep(system: "BookingSystem") -> None:
    await Sweeper(system.bookings, system.bookings, system.catalog, system.clock).sweep(Stop())


async def test_older_and_equal_versions_are_ignored(system: "BookingSystem") -> None:
    event = await system.open_event(10)
    await system.update_event(resized(event, 3, 30))
    await system.update_event(resized(event, 2, 20))
    await system.update_event(resized(event, 3, 33))
    assert await capacities(system, event) == [(30, True)]


async def test_a_message_is_applied_once(system: "BookingSystem") -> None:
    event = await system.open_event(10)
    message = new_id()
    await apply_event(resized(event, 2, 20), bookings=system.bookings, message_id=message)
    await apply_event(resized(event, 3, 30), bookings=system.bookings, message_id=message)
    assert await capacities(system, event) == [(20, True)]


async def test_growth_is_on_sale_and_removed_types_are_not(
    system: "BookingSystem", command: Commands
) -> None:
    event = await system.open_event(1, 1)
    first, second = (offer.id for offer in event.offers)
    await system.create(event, command(lines=[(first, 1)]), command(lines=[(second, 1)]))
    await system.update_event(resized(event, 2, 2))
    grown, removed = await system.create(
        event, command(lines=[(first, 1)]), command(lines=[(second, 1)])
    )
    assert isinstance(grown, CreatedBooking)
    assert getattr(removed, "code", None) == "unknown_ticket_type"
    assert await capacities(system, event) == [(2, True), (1, False)]


async def test_a_capacity_shortfall_is_limited_and_logged(
    system: "BookingSystem", command: Commands, caplog: pytest.LogCaptureFixture
) -> None:
    event = await system.open_event(10)
    await system.create(event, command(4), command(2, hold=True))
    await system.update_event(resized(event, 2, 3))
    assert await capacities(system, event) == [(6, True)]
    assert "stays 6" in caplog.text


async def test_a_ticket_type_added_a_moment_ago_is_provisioned(
    system: "BookingSystem", command: Commands
) -> None:
    event = await system.open_event(10)
    new_type = replace(event.offers[0], id=new_id())
    system.catalog.events[event.event.id] = replace(
        event, event=replace(event.event, version=2), offers=(*event.offers, new_type)
    )
    [result] = await system.create(event, command(lines=[(new_type.id, 1)]))
    assert isinstance(result, CreatedBooking)


async def test_a_draft_published_a_moment_ago_is_provisioned(
    system: "BookingSystem", command: Commands
) -> None:
    draft = system.add_to_catalog(10, status=EventStatus.DRAFT)
    await system.create(draft, command(1))
    published = replace(draft.event, version=2, status=EventStatus.PUBLISHED)
    system.catalog.events[draft.event.id] = replace(draft, event=published)
    [result] = await system.create(draft, command(1))
    assert isinstance(result, CreatedBooking)


async def test_concurrent_commands_for_an_unknown_event_share_one_call_of_the_catalog(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    event = system.add_to_catalog(100)
    results = await asyncio.gather(
        *(system.create(event, command(1, buyer=user(number))) for number in range(1, 51))
    )
    assert all(isinstance(result, CreatedBooking) for [result] in results)
    # A second call is possible for commands that read before the first one has completed.
    assert system.catalog.calls <= 2


async def test_a_type_that_is_added_while_the_inventory_is_locked_is_locked_too(
    system: "BookingSystem", monkeypatch: pytest.MonkeyPatch
) -> None:
    event = system.add_to_catalog(10)
    async with system.bookings.transaction() as transaction:
        adapter = transaction.inventory
        connection = adapter._connection
        fetch = connection.fetch

        async def fetch_late(query: str, *arguments: object) -> list[asyncpg.Record]:
            found: list[asyncpg.Record] = await fetch(query, *arguments)
            monkeypatch.setattr(adapter, "_connection", connection)
            await apply_event(event, bookings=system.bookings)
            return found

        class LateConnection:
            """Stores the event after the first statement."""

            fetch = staticmethod(fetch_late)

        monkeypatch.setattr(adapter, "_connection", LateConnection)
        inventory = await adapter.lock(event.event.id)
        assert inventory is not None
        assert [kind.available for kind in inventory.active_ticket_types] == [10]
        blocked = await system.pool.fetch("SELECT FROM booking.inventory FOR UPDATE SKIP LOCKED")
        assert blocked == []


async def test_a_shrink_is_all_or_nothing_and_stops_at_the_taken_tickets(
    system: "BookingSystem", command: Commands
) -> None:
    event = await system.open_event(10, 10)
    await system.create(event, command(lines=[(event.offers[1].id, 4)]))
    with pytest.raises(CapacityBelowTaken):
        await shrink(system, event, 5, 3)
    assert await capacities(system, event) == [(10, True), (10, True)]
    await shrink(system, event, 5, 4)
    assert await capacities(system, event) == [(5, True), (4, True)]


async def test_an_unknown_event_is_fetched_before_it_shrinks(
    system: "BookingSystem", command: Commands
) -> None:
    event = system.add_to_catalog(10)
    await shrink(system, event, 3)
    [rejected] = await system.create(event, command(4))
    assert isinstance(rejected, SoldOut)


async def test_a_late_message_does_not_undo_a_shrink(
    system: "BookingSystem",
) -> None:
    event = await system.open_event(10)
    await shrink(system, event, 4)
    renamed = resized(event, 2, 10)  # sent before the shrink
    await system.update_event(renamed)
    assert await capacities(system, event) == [(4, True)]
    await system.update_event(resized(event, 3, 4))
    system.clock.advance(timedelta(minutes=1))
    assert await system.bookings.events_to_resync(system.clock()) == []


async def test_a_shrink_that_the_catalog_did_not_save_is_reverted(system: "BookingSystem") -> None:
    event = await system.open_event(10)
    await shrink(system, event, 4)
    await sweep(system)
    assert await capacities(system, event) == [(4, True)]
    system.clock.advance(timedelta(seconds=30))
    await sweep(system)
    assert await capacities(system, event) == [(10, True)]
    assert await system.bookings.events_to_resync(system.clock()) == []


async def test_a_cancelled_event_cancels_its_bookings_in_batches(
    system: "BookingSystem", command: Commands, user: Users
) -> None:
    event = await system.open_event(5000)
    await system.create(
        event, *(command(2, buyer=user(n), hold=n % 3 == 0) for n in range(1, 1201))
    )
    await system.update_event(cancelled(event))
    [rejected] = await system.create(event, command(1))
    assert isinstance(rejected, EventCancelled)
    # A first batch, and then a crash: the sweeper cancels the rest.
    first = await system.bookings.open_bookings(event.event.id)
    await close_bookings(event.event.id, first, bookings=system.bookings, now=system.clock)
    assert await system.outbox_count("cancelled") == 500
    await sweep(system)
    assert await system.counts(event) == [(0, 0)]
    assert await system.outbox_count("cancelled") == 1200
    reasons = await system.pool.fetch(
        "SELECT DISTINCT payload->>'reason' AS r FROM booking.outbox WHERE type LIKE '%cancelled%'"
    )
    assert [row["r"] for row in reasons] == ["CANCELLATION_REASON_EVENT_CANCELLED"]
    assert await system.bookings.events_to_close() == []
    await system.assert_consistent()


async def test_a_locked_booking_is_cancelled_in_the_next_pass(
    system: "BookingSystem", command: Commands
) -> None:
    event = await system.open_event(10)
    await system.create(event, command(1), command(1))
    await system.update_event(cancelled(event))
    async with system.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM booking.bookings LIMIT 1 FOR UPDATE")
        await sweep(system)
    assert await system.bookings.events_to_close() == [event.event.id]
    await sweep(system)
    assert await system.bookings.events_to_close() == []
    assert await system.outbox_count("cancelled") == 2


async def test_a_concurrent_cancellation_of_the_event_leaves_no_booking_open(
    system: "BookingSystem", command: Commands, user: Users, open_replica: "OpenReplica"
) -> None:
    event = await system.open_event(1000)
    context = system.new_context((await open_replica(10))[0])

    async def buy(number: int) -> None:
        await system.create(event, command(1, buyer=user(number)), context=context)

    buying = [asyncio.create_task(buy(number)) for number in range(1, 101)]
    await buying[20]
    await system.update_event(cancelled(event))
    await sweep(system)
    await asyncio.gather(*buying)
    assert await system.counts(event) == [(0, 0)]
    assert await system.bookings.events_to_close() == []
    await system.assert_consistent()
