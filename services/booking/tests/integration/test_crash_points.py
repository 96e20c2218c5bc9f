"""A connection that is lost in the middle of a transaction changes nothing."""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest
from booking.adapters.batched_submitter import BatchedSubmitter, open_batcher
from booking.adapters.postgres.bookings import PostgresBookings
from booking.adapters.postgres.transaction import PostgresTransaction
from booking.application.booking_context import BookingContext, BookingResult, CreatedBooking
from booking.application.commands.commit_bookings import commit_bookings
from booking.application.commands.prepare_booking import PreparedBooking
from booking.application.ports import BookingOfEvent, RequestKey, Snapshot
from booking.domain.booking_creation import CreateBookingCommand
from booking.domain.errors import SoldOut
from goticket_platform.batching import Batcher
from goticket_platform.messaging.outbox import OutboxNotifier
from goticket_platform.postgres import is_transient

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import (
        BookingSystem,
        CommandsFor,
        SilentAvailability,
    )

Commands = Callable[..., CreateBookingCommand]


class FragileConnection(asyncpg.Connection):
    """Loses its server process right before the statement that the test names."""

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
    survived: int,
    system: "BookingSystem",
    command: Commands,
    silent_availability: "SilentAvailability",
) -> None:
    event = await system.open_event(10)
    before = await system.row_counts()
    FragileConnection.admin_dsn = system.dsn
    pool = await asyncpg.create_pool(
        system.dsn, min_size=1, max_size=1, connection_class=FragileConnection
    )
    notifier = OutboxNotifier(system.pool, "booking")
    context = system.new_context(PostgresBookings(pool, notifier, silent_availability))
    # BEGIN, lock, snapshot, create_bookings, COMMIT.
    FragileConnection.statements_left, FragileConnection.cuts = survived, 0
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await system.create(event, command(2, key="k"), context=context)
    assert FragileConnection.cuts == 1
    assert await system.row_counts() == before
    assert await system.counts(event) == [(0, 0)]
    # The same command is not a repeat, because the first one was rolled back.
    [result] = await system.create(event, command(2, key="k"), context=context)
    assert isinstance(result, CreatedBooking)
    assert not result.replayed
    await system.assert_consistent()
    await notifier.close()
    await pool.close()


class LosesResults:
    """Commits, then loses the connection before the result is returned."""

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

    async def read_snapshot(
        self, event_ids: Collection[UUID], keys: Collection[RequestKey]
    ) -> Snapshot:
        return await self._bookings.read_snapshot(event_ids, keys)


def batched_submitter(context: BookingContext) -> BatchedSubmitter:
    batcher: Batcher[UUID, PreparedBooking, BookingResult] = open_batcher(
        partial(commit_bookings, context=context),
        is_transient=is_transient,
        retry_delays=(0, 0),
    )
    return BatchedSubmitter(context, batcher)


async def test_a_commit_whose_result_was_lost_is_recognized_and_not_repeated(
    system: "BookingSystem", command: Commands, commands_for: "CommandsFor"
) -> None:
    event = await system.open_event(10)
    bookings = LosesResults(system.bookings, times=2)
    submitter = batched_submitter(replace(system.context, bookings=bookings))
    commands = [command(2), command(3, key="k"), command(6), command(1, hold=True)]
    results = await submitter.submit(commands_for(event, *commands), float("inf"))
    assert bookings.times == 0
    created = [result for result in results if isinstance(result, CreatedBooking)]
    assert [result.replayed for result in created] == [False, False, False]
    assert isinstance(results[2], SoldOut)
    assert await system.counts(event) == [(1, 5)]
    assert (await system.row_counts())["bookings"] == 3
    for result in created:
        stored = await system.bookings.find_booking(result.booking.id)
        assert stored is not None
        assert stored.booking == result.booking
    await system.assert_consistent()


@pytest.mark.parametrize("survived", range(5))
async def test_a_batch_is_retried_after_a_lost_connection(
    survived: int,
    system: "BookingSystem",
    command: Commands,
    commands_for: "CommandsFor",
    silent_availability: "SilentAvailability",
) -> None:
    event = await system.open_event(10)
    FragileConnection.admin_dsn = system.dsn
    pool = await asyncpg.create_pool(
        system.dsn, min_size=1, max_size=1, connection_class=FragileConnection
    )
    notifier = OutboxNotifier(system.pool, "booking")
    context = system.new_context(PostgresBookings(pool, notifier, silent_availability))
    FragileConnection.statements_left, FragileConnection.cuts = survived, 0
    commands = [command(2), command(3, key="k"), command(3, key="k")]
    submitter = batched_submitter(context)
    results = await submitter.submit(commands_for(event, *commands), float("inf"))
    assert FragileConnection.cuts == 1
    assert [isinstance(result, CreatedBooking) and result.replayed for result in results] == [
        False,
        False,
        True,
    ]
    assert await system.counts(event) == [(0, 5)]
    await system.assert_consistent()
    await notifier.close()
    await pool.close()
