"""The sweeper goes on, whatever one duty runs into."""

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from uuid import UUID, uuid4

from booking.application.ports import BookingOfEvent, Transaction
from booking.domain.event import CatalogEvent
from booking.entrypoints.sweeper import Sweeper
from goticket_platform.lifecycle import Stop


class FailingWorld:
    """Names duties; refuses to have any of them done."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    async def events_with_due_holds(self, now: datetime) -> list[UUID]:
        self.tried.append("holds")
        return [uuid4(), uuid4()]

    async def events_to_close(self) -> list[UUID]:
        self.tried.append("close")
        return [uuid4()]

    async def events_to_resync(self, now: datetime) -> list[UUID]:
        self.tried.append("resync")
        raise OSError

    async def purge_idempotency_keys(self, before: datetime, limit: int) -> int:
        self.tried.append("keys")
        raise OSError

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        self.tried.append("transaction")
        raise OSError

    async def find_booking(self, booking_id: UUID) -> BookingOfEvent | None:
        raise NotImplementedError

    async def get_events(self, event_ids: object) -> list[CatalogEvent]:
        raise NotImplementedError


async def test_one_events_failure_holds_up_no_other_duty() -> None:
    world = FailingWorld()
    await Sweeper(world, world, world, lambda: datetime.now(UTC)).sweep(Stop())
    holds, close = ["holds", "transaction", "transaction"], ["close", "transaction"]
    assert world.tried == [*holds, *close, "resync", "keys"]


async def test_a_stopped_sweeper_begins_nothing() -> None:
    world, stop = FailingWorld(), Stop()
    stop.set()
    await Sweeper(world, world, world, lambda: datetime.now(UTC)).run(stop)
    assert world.tried == []
