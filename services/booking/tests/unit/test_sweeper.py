"""The sweeper continues when one of its tasks fails, and postpones what fails."""

from collections import Counter
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from booking.application.ports import FIRST_ID, BookingOfEvent, DueHold, Transaction
from booking.domain.event import CatalogEvent
from booking.entrypoints.postponed_work import LONGEST_DELAY, PostponedWork
from booking.entrypoints.sweeper import EXPIRE, MAX_OUTAGES, Sweeper
from goticket_platform.lifecycle import Stop

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class FailingStore:
    """Returns due work; every transaction fails with `error`."""

    def __init__(self, error: Exception, holds: int = 2) -> None:
        self.error = error
        self.calls: list[str] = []
        self.time = NOW
        self.holds = [DueHold(UUID(int=n), UUID(int=100 + n), NOW) for n in range(holds)]

    def now(self) -> datetime:
        return self.time

    async def due_holds(self, now: datetime, after: DueHold | None = None) -> list[DueHold]:
        self.calls.append("holds")
        return [] if after else self.holds

    async def events_to_close(self, after: UUID = FIRST_ID) -> list[UUID]:
        self.calls.append("close")
        raise OSError

    async def open_bookings(self, event_id: UUID, after: UUID = FIRST_ID) -> list[UUID]:
        raise NotImplementedError

    async def events_to_resync(self, now: datetime, after: UUID = FIRST_ID) -> list[UUID]:
        self.calls.append("resync")
        raise OSError

    async def purge_idempotency_keys(self, before: datetime, limit: int) -> int:
        self.calls.append("keys")
        raise OSError

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        self.calls.append("transaction")
        raise self.error

    async def find_booking(self, booking_id: UUID) -> BookingOfEvent | None:
        raise NotImplementedError

    async def get_events(self, event_ids: object) -> list[CatalogEvent]:
        raise NotImplementedError


async def test_the_failure_of_one_event_does_not_stop_other_tasks() -> None:
    store = FailingStore(LookupError())
    await Sweeper(store, store, store, store.now).sweep(Stop())
    assert store.calls == [
        *("holds", "transaction", "transaction", "holds"),
        *("close", "resync", "keys"),
    ]


async def test_a_stopped_sweeper_starts_no_task() -> None:
    store, stop = FailingStore(LookupError()), Stop()
    stop.set()
    await Sweeper(store, store, store, store.now).run(stop)
    assert store.calls == []


async def test_failed_holds_are_tried_again_after_growing_delays() -> None:
    store = FailingStore(LookupError(), holds=1)
    sweeper = Sweeper(store, store, store, store.now)
    attempts = []
    for second in range(300):
        store.time = NOW + timedelta(seconds=second)
        store.calls.clear()
        await sweeper.sweep(Stop())
        if "transaction" in store.calls:
            attempts.append(second)
    assert attempts == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]


async def test_an_outage_ends_the_round_and_the_next_round_tries_others_first() -> None:
    store = FailingStore(OSError(), holds=2 * MAX_OUTAGES)
    sweeper = Sweeper(store, store, store, store.now)
    for _ in range(2):
        store.calls.clear()
        await sweeper.sweep(Stop())
        assert Counter(store.calls)["transaction"] == MAX_OUTAGES
    store.calls.clear()
    await sweeper.sweep(Stop())
    assert "transaction" not in store.calls


def test_postponed_work_is_forgotten_when_it_is_done() -> None:
    postponed = PostponedWork()
    for _ in range(20):
        postponed.postpone(["a"], NOW)
    assert not postponed.is_due("a", NOW + LONGEST_DELAY - timedelta(seconds=1))
    assert postponed.is_due("a", NOW + LONGEST_DELAY)
    postponed.end_round()
    assert not postponed.is_due("a", NOW)
    postponed.end_round()
    postponed.end_round()
    assert postponed.is_due("a", NOW)


async def test_a_task_that_always_fails_keeps_no_memory_of_the_work_of_others() -> None:
    store = FailingStore(LookupError(), holds=1)  # the other tasks fail in every round
    sweeper = Sweeper(store, store, store, store.now)
    await sweeper.sweep(Stop())
    [hold] = store.holds
    assert not sweeper.postponed[EXPIRE].is_due(hold.booking_id, NOW)
    store.holds = []  # another sweeper has expired it
    for _ in range(2):
        await sweeper.sweep(Stop())
    assert sweeper.postponed[EXPIRE].is_due(hold.booking_id, NOW)


def test_an_incomplete_round_forgets_only_what_it_has_seen() -> None:
    postponed = PostponedWork()
    postponed.postpone(["a"], NOW)
    assert postponed.is_due("b", NOW)
    postponed.end_round(complete=False)
    assert not postponed.is_due("a", NOW)
    postponed.end_round()
    assert not postponed.is_due("a", NOW)
