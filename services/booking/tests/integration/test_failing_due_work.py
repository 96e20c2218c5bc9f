"""Due work that always fails does not hide the due work behind it."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from booking.domain.booking import BookingStatus
from booking.domain.event import EventStatus
from booking.entrypoints.sweeper import Sweeper
from goticket_platform.lifecycle import Stop

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem

FAILING = 1_000
HOUR = timedelta(hours=1)
Commands = Callable[..., Any]

BROKEN_HOLDS = """
INSERT INTO booking.bookings (event_id, id, user_id, buyer_email, buyer_name, status, total,
                              currency, version, created_at, expires_at)
SELECT CASE WHEN $3 THEN gen_random_uuid() ELSE $1 END, gen_random_uuid(), gen_random_uuid(),
       'ann@example.com', 'Ann', 'held', 0, 'EUR', 1, $2, $2
FROM generate_series(1, $4)
"""
BROKEN_ITEMS = """
INSERT INTO booking.booking_items
SELECT event_id, id, 0, gen_random_uuid(), 'Unknown', 1, 0
FROM booking.bookings WHERE buyer_name = 'Ann'
"""


def sweeper_of(system: "BookingSystem") -> Sweeper:
    return Sweeper(system.bookings, system.bookings, system.catalog, system.clock)


@pytest.mark.parametrize("own_events", [True, False], ids=["events_of_their_own", "one_event"])
async def test_a_thousand_failing_holds_do_not_hide_the_others(
    system: "BookingSystem", command: Commands, own_events: bool
) -> None:
    """They ended first, so every query of the oldest due holds returns them."""
    event = await system.open_event(10)
    await system.pool.execute(BROKEN_HOLDS, event.event.id, system.clock(), own_events, FAILING)
    await system.pool.execute(BROKEN_ITEMS)
    hold = await system.book(event, command(2, hold=True))
    system.clock.advance(HOUR)
    sweeper = sweeper_of(system)
    await sweeper.sweep(Stop())
    found = await system.bookings.find_booking(hold.id)
    assert found is not None
    assert found.booking.status is BookingStatus.EXPIRED
    assert await system.counts(event) == [(0, 0)]
    failing = await system.pool.fetchval(
        "SELECT count(*) FROM booking.bookings WHERE status = 'held'"
    )
    assert failing == FAILING

    # In the next rounds they are postponed, and a new hold is still reached.
    hold = await system.book(event, command(2, hold=True))
    system.clock.advance(HOUR)
    await sweeper.sweep(Stop())
    assert await system.counts(event) == [(0, 0)]


async def test_failing_bookings_do_not_keep_a_cancelled_event_from_closing_the_others(
    system: "BookingSystem", command: Commands
) -> None:
    events = [await system.open_event(10) for _ in range(3)]
    for event in events:
        await system.book(event, command(1))
    broken, *_ = events
    await system.pool.execute(BROKEN_HOLDS, broken.event.id, system.clock(), False, 5)
    await system.pool.execute(BROKEN_ITEMS)
    await system.pool.execute("UPDATE booking.events SET status = 'cancelled', closing = true")
    await sweeper_of(system).sweep(Stop())
    for event in events:
        assert await system.counts(event) == [(0, 0)]
    assert await system.bookings.events_to_close() == [broken.event.id]


async def test_more_failing_events_than_a_page_do_not_hide_a_cancelled_event(
    system: "BookingSystem", command: Commands
) -> None:
    await system.pool.execute(
        """INSERT INTO booking.events (event_id, organizer_id, name, location, timezone, starts_at,
                                       ends_at, currency, status, version, closing)
           SELECT (lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000')::uuid, $1, 'Broken',
                  '', 'UTC', $2, $2, 'EUR', 'cancelled', 1, true
           FROM generate_series(1, 150) AS n""",
        system.add_to_catalog(1).event.organizer_id,
        system.clock(),
    )
    await system.pool.execute(
        """INSERT INTO booking.bookings (event_id, id, user_id, buyer_email, buyer_name, status,
                                         total, currency, version, created_at)
           SELECT event_id, gen_random_uuid(), event_id, '', 'Ann', 'confirmed', 0, 'EUR', 1, now()
           FROM booking.events"""
    )
    await system.pool.execute(BROKEN_ITEMS)
    event = await system.open_event(10)
    await system.book(event, command(3))
    await system.pool.execute(
        "UPDATE booking.events SET status = 'cancelled', closing = true WHERE event_id = $1",
        event.event.id,
    )
    await sweeper_of(system).sweep(Stop())
    assert await system.counts(event) == [(0, 0)]


async def test_events_that_the_catalog_does_not_know_do_not_hide_a_due_resync(
    system: "BookingSystem",
) -> None:
    event = await system.open_event(10)
    await system.pool.execute(
        """INSERT INTO booking.events (event_id, organizer_id, name, location, timezone, starts_at,
                                       ends_at, currency, status, version, resync_after)
           SELECT (lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000')::uuid, $1, 'Unknown',
                  '', 'UTC', $2, $2, 'EUR', 'published', 1, $2
           FROM generate_series(1, 250) AS n""",
        event.event.organizer_id,
        system.clock(),
    )
    await system.pool.execute(
        "UPDATE booking.events SET resync_after = $2 WHERE event_id = $1",
        event.event.id,
        system.clock(),
    )
    assert event.event.status is EventStatus.PUBLISHED
    system.clock.advance(HOUR)
    await sweeper_of(system).sweep(Stop())
    due = await system.bookings.events_to_resync(system.clock())
    assert event.event.id not in due
    calls = system.catalog.calls
    await sweeper_of(system).sweep(Stop())
    assert system.catalog.calls > calls  # another process tries them once
