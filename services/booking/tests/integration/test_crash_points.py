"""A booking whose connection is lost half-way never happened."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import asyncpg
import pytest
from booking.adapters.availability import NoAvailability
from booking.adapters.postgres.bookings import PostgresBookings
from booking.application.place_bookings import Placed
from booking.domain.placing import BookingRequest
from goticket_platform.messaging.outbox import OutboxNotifier

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
