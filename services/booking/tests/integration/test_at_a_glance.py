"""Who comes after the last ticket is turned away without locks, and nobody else is."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from booking.application.order import prepare
from booking.application.place_bookings import place_bookings
from booking.application.place_orders import Placed, place_orders
from booking.application.ports import Sale
from booking.domain.booking import BookingConfirmed
from booking.domain.errors import (
    EventOver,
    IdempotencyKeyReused,
    MaxPerBookingExceeded,
    SoldOut,
    UnknownTicketType,
)
from booking.domain.placing import BookingRequest, place
from goticket_platform.ids import new_id

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import Hall, OpenReplica

Wishes = Callable[..., BookingRequest]


async def test_refusals_of_a_sold_out_event_wait_for_no_lock(hall: "Hall", wish: Wishes) -> None:
    event = await hall.open_event(1)
    await hall.ask(event, wish(1, key="last"), wish(1))
    [over] = await hall.ask(event, wish(1))
    assert isinstance(over, SoldOut)
    async with hall.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM booking.inventory FOR UPDATE")
        outcomes = await asyncio.wait_for(
            hall.ask(
                event,
                wish(1, key="a"),
                wish(2, key="b"),
                wish(11),
                wish(1, hold=True),
                wish(lines=[(event.offers[0].id, 1)]),
            ),
            10,
        )
    expected = [SoldOut, SoldOut, MaxPerBookingExceeded, SoldOut, SoldOut]
    assert [type(outcome) for outcome in outcomes] == expected
    told = {"ticketTypeId": str(event.offers[0].id), "available": "0"}
    assert isinstance(outcomes[0], SoldOut)
    assert outcomes[0].metadata == told
    assert (await hall.rows())["bookings"] == 1


async def test_a_used_key_is_answered_however_much_is_sold(hall: "Hall", wish: Wishes) -> None:
    event = await hall.open_event(1)
    [first, _] = await hall.ask(event, wish(1, key="mine"), wish(1))
    [mine, other, late] = await hall.ask(
        event, wish(1, key="mine"), wish(2, key="mine"), wish(1, key="late")
    )
    assert isinstance(first, Placed)
    assert mine == replace(first, replayed=True)
    assert isinstance(other, IdempotencyKeyReused)
    assert isinstance(late, SoldOut)
    await hall.must_add_up()


async def test_what_comes_back_is_sold_again(hall: "Hall", wish: Wishes) -> None:
    event = await hall.open_event(1)
    [first, refused] = await hall.ask(event, wish(1), wish(1))
    assert isinstance(first, Placed)
    assert isinstance(refused, SoldOut)
    more = replace(
        event,
        event=replace(event.event, version=2),
        offers=(replace(event.offers[0], capacity=3),),
    )
    await hall.change(more)
    outcomes = await hall.ask(event, wish(3), wish(2, key="k"), wish(1))
    assert [type(outcome) for outcome in outcomes] == [SoldOut, Placed, SoldOut]
    assert await hall.counts(event) == [(0, 3)]
    await hall.must_add_up()


async def test_a_retry_of_what_is_being_granted_elsewhere_waits_for_its_answer(
    hall: "Hall", wish: Wishes, open_replica: "OpenReplica"
) -> None:
    event = await hall.open_event(1)
    office = hall.another_office((await open_replica())[0])
    office.sold_out.note([event.event.id], [True])  # as it was before a ticket came back
    request = wish(1, key="k")
    order = prepare(event.event.id, request, new_id=new_id, issue=office.issue)
    async with hall.bookings.transaction() as transaction:
        sale = await transaction.open_sale({event.event.id: None}, [])
        stock = sale.stocks[event.event.id]
        placed = place(
            request,
            stock,
            booking_id=order.booking_id,
            now=office.now(),
            hold_for=office.hold_for,
            issue=office.issue,
        )
        assert isinstance(placed, BookingConfirmed)
        await transaction.add([Sale(placed, "k", order.fingerprint)], [stock])
        retry = asyncio.create_task(place_bookings(event.event.id, [request], office))
        done, _ = await asyncio.wait([retry], timeout=0.3)
        assert not done
    assert await retry == [Placed(placed.booking, event.event, replayed=True)]


async def test_a_glance_tells_what_locks_would(hall: "Hall", wish: Wishes) -> None:
    event = await hall.open_event(0, 5)
    gone, left = (offer.id for offer in event.offers)
    wishes = [wish(lines=[(gone, 1)]), wish(lines=[(new_id(), 1)]), wish(1)]
    slow = await hall.ask(event, *wishes)
    assert event.event.id in hall.office.sold_out
    fast = await hall.ask(event, *wishes, wish(lines=[(left, 2)]))
    assert [type(outcome) for outcome in fast[:3]] == [type(outcome) for outcome in slow]
    assert isinstance(fast[1], UnknownTicketType)
    assert isinstance(fast[3], Placed)
    assert event.event.id not in hall.office.sold_out
    hall.office.sold_out.note([event.event.id], [True])
    hall.clock.time = event.event.ends_at
    [over] = await hall.ask(event, wish(lines=[(left, 1)]))
    assert isinstance(over, EventOver)


async def test_nothing_is_signed_ahead_for_who_is_probably_too_late(
    hall: "Hall", wish: Wishes
) -> None:
    signed = 0

    def issue(event_id: object) -> object:
        nonlocal signed
        signed += 1
        return hall.office.issue(event.event.id)

    event, other = await hall.open_event(0), await hall.open_event(1)
    office = replace(hall.office, issue=issue)  # type: ignore[arg-type]  # counts and passes on
    for expected in (2, 2):
        await place_bookings(event.event.id, [wish(2, key=str(expected))], office)
        assert signed == expected
    orders = [
        prepare(found.event.id, wish(1), new_id=new_id, issue=office.issue, likely=False)
        for found in (event, other)
    ]
    outcomes = await place_orders(orders, office)
    assert [type(outcome) for outcome in outcomes] == [SoldOut, Placed]
    assert signed == 3
