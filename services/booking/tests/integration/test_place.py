"""Booking tickets on a real PostgreSQL: grants, refusals, races, crash points."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest
from booking.adapters.availability import NoAvailability
from booking.adapters.postgres.bookings import PostgresBookings
from booking.adapters.ticket_codes import verify
from booking.application.place_bookings import Placed
from booking.domain.actor import Actor
from booking.domain.booking import BookingStatus
from booking.domain.errors import (
    Busy,
    DomainError,
    EventCancelled,
    EventNotFound,
    EventOver,
    IdempotencyKeyReused,
    RequestInProgress,
    SoldOut,
)
from booking.domain.event import CatalogEvent, EventStatus
from booking.domain.placing import BookingRequest, place
from goticket_platform.ids import new_id
from goticket_platform.messaging.outbox import OutboxNotifier

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import Hall, OpenReplica

People = Callable[..., Actor]
Wishes = Callable[..., BookingRequest]


def answers(outcomes: list[Placed | DomainError]) -> list[str]:
    return [
        outcome.code if isinstance(outcome, DomainError) else outcome.booking.status.value
        for outcome in outcomes
    ]


async def test_a_booking_is_confirmed_at_once_with_tickets_that_verify(
    hall: "Hall", wish: Wishes
) -> None:
    event = await hall.open_event(10)
    booking = await hall.book(event, wish(2))
    stored = await hall.bookings.find_booking(booking.id)
    assert stored is not None
    assert stored.booking == booking
    assert stored.event == event.event
    assert (booking.status, booking.total, booking.version) == (BookingStatus.CONFIRMED, 5000, 1)
    for ticket in booking.tickets:
        claims = verify(ticket.code, hall.signer.public_keys)
        assert (claims.ticket_id, claims.event_id) == (ticket.id, event.event.id)
    assert await hall.counts(event) == [(0, 2)]
    assert await hall.outbox("confirmed") == 1
    await hall.must_add_up()


async def test_a_hold_sets_stock_aside_without_tickets(hall: "Hall", wish: Wishes) -> None:
    event = await hall.open_event(10)
    booking = await hall.book(event, wish(2, hold=True))
    assert booking.tickets == ()
    assert booking.expires_at == hall.clock.time + timedelta(minutes=10)
    assert await hall.counts(event) == [(2, 0)]
    assert (await hall.outbox("held"), await hall.outbox("confirmed")) == (1, 0)


async def test_many_ticket_types_are_granted_all_or_none(hall: "Hall", wish: Wishes) -> None:
    event = await hall.open_event(5, 1)
    seats, boxes = (offer.id for offer in event.offers)
    booking = await hall.book(event, wish(lines=[(boxes, 1), (seats, 2)]))
    assert [item.ticket_type_id for item in booking.items] == [boxes, seats]
    [refused] = await hall.ask(event, wish(lines=[(seats, 1), (boxes, 1)]))
    assert isinstance(refused, SoldOut)
    assert refused.metadata == {"ticketTypeId": str(boxes), "available": "0"}
    assert await hall.counts(event) == [(0, 2), (0, 1)]


async def test_a_batch_decides_in_order_and_one_bad_request_fails_no_neighbour(
    hall: "Hall", wish: Wishes, person: People
) -> None:
    event = await hall.open_event(6)
    outcomes = await hall.ask(
        event,
        wish(2),
        wish(0),
        wish(11),
        wish(lines=[(new_id(), 1)]),
        wish(5),  # too many: must not block the smaller ones behind it
        wish(3, hold=True, buyer=person(2)),
        wish(1),
        wish(1),
    )
    assert answers(outcomes) == [
        "confirmed",
        "validation_failed",
        "max_per_booking_exceeded",
        "unknown_ticket_type",
        "sold_out",
        "held",
        "confirmed",
        "sold_out",
    ]
    assert await hall.counts(event) == [(3, 3)]
    await hall.must_add_up()


async def test_two_hundred_buyers_at_a_barrier_get_exactly_a_hundred_tickets(
    hall: "Hall", wish: Wishes, person: People, open_replica: "OpenReplica"
) -> None:
    event = await hall.open_event(100)
    replicas = [hall.another_office((await open_replica(5))[0]) for _ in range(4)]
    barrier = asyncio.Barrier(200)

    async def buy(number: int) -> str:
        await barrier.wait()
        outcomes = await hall.ask(
            event, wish(1, buyer=person(number)), office=replicas[number % len(replicas)]
        )
        return answers(outcomes)[0]

    results = Counter(await asyncio.gather(*(buy(number) for number in range(1, 201))))
    assert results == {"confirmed": 100, "sold_out": 100}
    assert await hall.counts(event) == [(0, 100)]
    assert await hall.outbox("confirmed") == 100
    await hall.must_add_up()


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


class FragileConnection(asyncpg.Connection):
    """Loses its server process right before the statement the test names."""

    statements_left: int | None = None
    cuts = 0
    admin_dsn = ""

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:
        await self._count()
        return await super().execute(query, *args, timeout=timeout)

    async def fetch(self, query: str, *args: object, **options: object) -> list[asyncpg.Record]:  # type: ignore[override]  # as above
        await self._count()
        return await super().fetch(query, *args, **options)  # type: ignore[no-any-return, call-overload]  # passed on

    async def _count(self) -> None:
        kind = FragileConnection
        if kind.statements_left is None:
            return
        if kind.statements_left == 0:
            kind.statements_left = None
            kind.cuts += 1
            admin = await asyncpg.connect(kind.admin_dsn)
            pid = self.get_server_pid()
            await admin.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
            await admin.close()
            return
        kind.statements_left -= 1


@pytest.mark.parametrize("survived", range(11))
async def test_a_connection_lost_before_any_statement_changes_nothing(
    survived: int, hall: "Hall", wish: Wishes
) -> None:
    event = await hall.open_event(10)
    before = await hall.rows()
    FragileConnection.admin_dsn = hall.dsn
    pool = await asyncpg.create_pool(
        hall.dsn, min_size=1, max_size=1, connection_class=FragileConnection
    )
    notifier = OutboxNotifier(hall.pool, "booking")
    office = hall.another_office(PostgresBookings(pool, notifier, NoAvailability()))
    # BEGIN, lock, stock, keys, key, bookings, items, tickets, outbox, inventory, COMMIT.
    FragileConnection.statements_left, FragileConnection.cuts = survived, 0
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await hall.ask(event, wish(2, key="k"), office=office)
    assert FragileConnection.cuts == 1
    assert await hall.rows() == before
    assert await hall.counts(event) == [(0, 0)]
    # The same request again is no repeat: the first one never happened.
    [outcome] = await hall.ask(event, wish(2, key="k"), office=office)
    assert isinstance(outcome, Placed)
    assert not outcome.replayed
    await hall.must_add_up()
    await notifier.close()
    await pool.close()


async def test_nothing_can_be_had_of_events_that_are_not_on_sale(
    hall: "Hall", wish: Wishes
) -> None:
    draft = hall.announce(10, status=EventStatus.DRAFT)
    cancelled = hall.announce(10, status=EventStatus.CANCELLED)
    over = await hall.open_event(10)
    hall.clock.time = over.event.ends_at
    expected: list[tuple[CatalogEvent, type[DomainError]]] = [
        (draft, EventNotFound),
        (cancelled, EventCancelled),
        (over, EventOver),
    ]
    for event, error in expected:
        [refused] = await hall.ask(event, wish(1))
        assert type(refused) is error


async def test_the_database_refuses_to_oversell_whatever_the_code_does(
    hall: "Hall", wish: Wishes
) -> None:
    event = await hall.open_event(1)
    with pytest.raises(asyncpg.CheckViolationError, match="inventory_never_oversold"):
        await hall.pool.execute("UPDATE booking.inventory SET held = 1, sold = 1")

    async def take_too_many() -> None:
        async with hall.bookings.transaction() as transaction:
            stock = await transaction.lock_stock(event.event.id, None)
            assert stock is not None
            next(iter(stock.ticket_types.values())).capacity = 100
            placed = place(
                wish(2),
                stock,
                booking_id=new_id(),
                now=hall.clock(),
                hold_for=timedelta(minutes=1),
                issue=hall.office.issue,
            )
            await transaction.add([placed], {}, stock)

    with pytest.raises(SoldOut):
        await take_too_many()
    assert (await hall.rows())["bookings"] == 0
