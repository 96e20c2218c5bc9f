"""A booking whose connection is lost half-way never happened."""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest
from booking.adapters.availability import NoAvailability
from booking.adapters.postgres.bookings import PostgresBookings
from booking.adapters.postgres.transaction import PostgresTransaction
from booking.application.booking_submitter import BatchedSubmitter, open_batcher
from booking.application.order import Order
from booking.application.place_orders import BoxOffice, Outcome, Placed, place_orders
from booking.application.ports import BookingOfEvent, RequestKey
from booking.domain.errors import SoldOut
from booking.domain.placing import BookingRequest
from booking.domain.stock import EventStock
from goticket_platform.batching import Batcher
from goticket_platform.messaging.outbox import OutboxNotifier
from goticket_platform.postgres import is_transient

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import Hall

Wishes = Callable[..., BookingRequest]


class FragileConnection(asyncpg.Connection):
    """Loses its server process right before the statement the test names."""

    statements_left: int | None = None
    cuts = 0
    admin_dsn = ""

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:
        await self._count()
        return await super().execute(query, *args, timeout=timeout)

    async def fetch(self, query: str, *args: object, **options: object) -> list[asyncpg.Record]:  # type: ignore[override]  # its overloads narrow the record type
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


@pytest.mark.parametrize("survived", range(5))
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
    # BEGIN, lock, stock and keys, everything, COMMIT.
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


class LosesAnswers:
    """Commits, and then loses the connection before anybody has heard of it."""

    def __init__(self, bookings: PostgresBookings, times: int) -> None:
        self._bookings = bookings
        self.times = times

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        async with self._bookings.transaction() as transaction:
            yield transaction
        if self.times:
            self.times -= 1
            raise ConnectionResetError

    async def find_booking(self, booking_id: UUID) -> BookingOfEvent | None:
        return await self._bookings.find_booking(booking_id)

    async def look(
        self, event_ids: Collection[UUID], keys: Collection[RequestKey]
    ) -> tuple[dict[UUID, EventStock], set[RequestKey]]:
        return await self._bookings.look(event_ids, keys)


def submitter_of(office: BoxOffice) -> BatchedSubmitter:
    batcher: Batcher[UUID, Order, Outcome] = open_batcher(
        partial(place_orders, office=office),
        is_transient=is_transient,
        retry_delays=(0, 0),
    )
    return BatchedSubmitter(office, batcher)


async def test_a_commit_whose_answer_was_lost_is_recognised_and_not_repeated(
    hall: "Hall", wish: Wishes
) -> None:
    event = await hall.open_event(10)
    bookings = LosesAnswers(hall.bookings, times=2)
    submitter = submitter_of(replace(hall.office, bookings=bookings))
    wishes = [wish(2), wish(3, key="k"), wish(6), wish(1, hold=True)]
    answers = await submitter.submit([(event.event.id, one) for one in wishes], float("inf"))
    assert bookings.times == 0
    made = [answer for answer in answers if isinstance(answer, Placed)]
    assert [placed.replayed for placed in made] == [False, False, False]
    assert isinstance(answers[2], SoldOut)
    assert await hall.counts(event) == [(1, 5)]
    assert (await hall.rows())["bookings"] == 3
    for placed in made:
        stored = await hall.bookings.find_booking(placed.booking.id)
        assert stored is not None
        assert stored.booking == placed.booking
    await hall.must_add_up()


@pytest.mark.parametrize("survived", range(5))
async def test_a_batch_is_retried_after_a_lost_connection(
    survived: int, hall: "Hall", wish: Wishes
) -> None:
    event = await hall.open_event(10)
    FragileConnection.admin_dsn = hall.dsn
    pool = await asyncpg.create_pool(
        hall.dsn, min_size=1, max_size=1, connection_class=FragileConnection
    )
    notifier = OutboxNotifier(hall.pool, "booking")
    office = hall.another_office(PostgresBookings(pool, notifier, NoAvailability()))
    FragileConnection.statements_left, FragileConnection.cuts = survived, 0
    wishes = [wish(2), wish(3, key="k"), wish(3, key="k")]
    asked = [(event.event.id, one) for one in wishes]
    answers = await submitter_of(office).submit(asked, float("inf"))
    assert FragileConnection.cuts == 1
    assert [isinstance(answer, Placed) and answer.replayed for answer in answers] == [
        False,
        False,
        True,
    ]
    assert await hall.counts(event) == [(0, 5)]
    await hall.must_add_up()
    await notifier.close()
    await pool.close()
