"""The sweeper continues when one of its tasks fails."""

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from uuid import UUID, uuid4

from booking.application.ports import BookingOfEvent, Transaction
from booking.domain.event import CatalogEvent
from booking.entrypoints.sweeper import Sweeper
from goticket_platform.lifecycle import Stop


class FailingStore:
    """Returns due work; every transaction fails."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def events_with_due_holds(self, now: datetime) -> list[UUID]:
        self.calls.append("holds")
        return [uuid4(), uuid4()]

    async def events_to_close(self) -> list[UUID]:
        self.calls.append("close")
        return [uuid4()]

    async def events_to_resync(self, now: datetime) -> list[UUID]:
        self.calls.append("resync")
        raise OSError

    async def purge_idempotency_keys(self, before: datetime, limit: int) -> int:
        self.calls.append("keys")
        raise OSError

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        self.calls.append("transaction")
        raise OSError

    async def find_booking(self, booking_id: UUID) -> BookingOfEvent | None:
        raise NotImplementedError

    async def get_events(self, event_ids: object) -> list[CatalogEvent]:
        raise NotImplementedError


async def test_the_failure_of_one_event_does_not_stop_other_tasks() -> None:
    store = FailingStore()
    await Sweeper(store, store, store, lambda: datetime.now(UTC)).sweep(Stop())
    holds, close = ["holds", "transaction", "transaction"], ["close", "transaction"]
    assert store.calls == [*holds, *close, "resync", "keys"]


async def test_a_stopped_sweeper_starts_no_task() -> None:
    store, stop = FailingStore(), Stop()
    stop.set()
    await Sweeper(store, store, store, lambda: datetime.now(UTC)).run(stop)
    assert store.calls == []
