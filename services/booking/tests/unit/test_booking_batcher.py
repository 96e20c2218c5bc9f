"""The rules of batched transactions, one by one."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import pytest
from booking.adapters.batched_submitter import batching_limits, open_batcher
from booking.domain.errors import Busy

if TYPE_CHECKING:
    from goticket_platform.batching import Batcher

EVENT, OTHER = UUID(int=1), UUID(int=2)
FOREVER = float("inf")


@dataclass(frozen=True)
class Request:
    """A request for an event."""

    event_id: UUID
    name: str


def requests_for(event_id: UUID, names: Iterable[str]) -> list[Request]:
    """Return requests for one event."""
    return [Request(event_id, name) for name in names]


RequestBatcher: TypeAlias = "Batcher[UUID, Request, str]"


class BrokenRequestError(Exception):
    """A request named "broken" fails its batch with this."""


class TransientError(Exception):
    """Does not happen again after some retries."""


class Database:
    """Commits batches when its gate is open; the outcome of a request is its name in capitals."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.started = asyncio.Event()
        self.batches: list[list[str]] = []
        self.committed: list[str] = []
        self.failures: list[Exception] = []
        self.contended: set[UUID] = set()
        self.running = self.max_running = 0

    async def commit(self, requests: Sequence[Request]) -> list[str | None]:
        names = [request.name for request in requests]
        events = {request.event_id for request in requests}
        self.batches.append(names)
        self.running += 1
        self.max_running = max(self.max_running, self.running)
        self.started.set()
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        if self.failures:
            raise self.failures.pop(0)
        if "broken" in names:
            raise BrokenRequestError
        skipped = self.contended if len(events) > 1 else set()
        self.committed += [request.name for request in requests if request.event_id not in skipped]
        return [
            None if request.event_id in skipped else request.name.upper() for request in requests
        ]

    async def block(self, batcher: RequestBatcher, name: str = "first") -> asyncio.Task[object]:
        """Submit a request, and return while its transaction waits at the gate."""
        self.gate.clear()
        self.started.clear()
        task: asyncio.Task[object] = asyncio.create_task(
            batcher.submit_many(requests_for(EVENT, [name]), FOREVER)
        )
        await self.started.wait()
        return task


@pytest.fixture
async def database() -> Database:
    return Database()


def batcher_of(database: Database, **limits: int) -> RequestBatcher:
    return open_batcher(
        database.commit,
        is_transient=lambda error: isinstance(error, TransientError),
        limits=batching_limits(**limits),
        retry_delays=(0, 0),
    )


async def turns() -> None:
    """Let all tasks run until they wait."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_requests_that_arrive_during_a_commit_are_the_next_batch(database: Database) -> None:
    batcher = batcher_of(database, max_batch_size=3)
    first = await database.block(batcher)
    rest = [
        asyncio.create_task(batcher.submit_many(requests_for(EVENT, [name]), FOREVER))
        for name in "abcd"
    ]
    await asyncio.sleep(0)
    assert (len(batcher), batcher.waiting) == (1, 4)
    database.gate.set()
    assert await first == ["FIRST"]
    assert await asyncio.gather(*rest) == [["A"], ["B"], ["C"], ["D"]]
    assert database.batches == [["first"], ["a", "b", "c"], ["d"]]


async def test_an_idle_queue_is_removed(database: Database) -> None:
    batcher = batcher_of(database)
    assert await batcher.submit_many(requests_for(EVENT, []), FOREVER) == []
    assert await batcher.submit_many(requests_for(EVENT, ["a", "b"]), FOREVER) == ["A", "B"]
    await turns()
    assert (len(batcher), batcher.waiting) == (0, 0)
    assert len(asyncio.all_tasks()) == 1


async def test_one_transaction_at_a_time_per_event_and_a_bound_over_all(database: Database) -> None:
    batcher = batcher_of(database, max_batch_size=1, max_in_flight=3)
    database.gate.clear()
    events = [UUID(int=number) for number in range(1, 6)]
    submitted = [
        asyncio.create_task(batcher.submit_many(requests_for(event, ["a", "b"]), FOREVER))
        for event in events
    ]
    await database.started.wait()
    database.gate.set()
    assert await asyncio.gather(*submitted) == [["A", "B"]] * 5
    assert database.max_running == 2, "one transaction is reserved for small queues"
    other = batcher_of(database, max_batch_size=1)
    database.max_running = 0
    await other.submit_many(requests_for(EVENT, "abc"), FOREVER)
    assert database.max_running == 1


async def test_small_queues_share_a_transaction_in_order_of_arrival(
    database: Database,
) -> None:
    batcher = batcher_of(database, max_in_flight=1, max_batch_size=5)
    first = await database.block(batcher)
    third = UUID(int=3)
    mixed = [Request(third, "a"), Request(OTHER, "b"), Request(third, "c"), Request(EVENT, "d")]
    later = [Request(UUID(int=4), name) for name in "ef"]
    rest = [
        asyncio.create_task(batcher.submit_many(requests, FOREVER)) for requests in (mixed, later)
    ]
    await asyncio.sleep(0)
    assert (len(batcher), batcher.waiting) == (4, 6)
    database.gate.set()
    await first
    assert await asyncio.gather(*rest) == [["A", "B", "C", "D"], ["E", "F"]]
    assert database.batches == [["first"], ["a", "c", "b", "d"], ["e", "f"]]


async def test_a_large_queue_gets_a_solo_batch_and_small_queues_overtake_it(
    database: Database,
) -> None:
    batcher = batcher_of(database, max_in_flight=1, solo_threshold=3)
    first = await database.block(batcher)
    requests = [
        *requests_for(OTHER, "x"),
        *requests_for(EVENT, "abc"),
        *requests_for(UUID(int=3), "y"),
        *requests_for(UUID(int=4), "def"),
    ]
    rest = asyncio.create_task(batcher.submit_many(requests, FOREVER))
    await asyncio.sleep(0)
    database.gate.set()
    await asyncio.gather(first, rest)
    assert database.batches == [["first"], ["x", "y"], ["a", "b", "c"], ["d", "e", "f"]]


async def test_solo_batches_leave_a_transaction_for_small_queues(database: Database) -> None:
    batcher = batcher_of(database, max_in_flight=2, solo_threshold=2)
    database.gate.clear()
    large = [
        asyncio.create_task(batcher.submit_many(requests_for(event, ["a", "b"]), FOREVER))
        for event in (EVENT, OTHER)
    ]
    await turns()
    small = asyncio.create_task(batcher.submit_many(requests_for(UUID(int=3), "x"), FOREVER))
    await turns()
    assert database.batches == [["a", "b"], ["x"]]
    database.gate.set()
    await asyncio.gather(small, *large)
    assert database.batches == [["a", "b"], ["x"], ["a", "b"]]


async def test_an_undecided_event_is_requeued_isolated_and_in_order(
    database: Database,
) -> None:
    batcher = batcher_of(database, max_in_flight=1)
    database.contended = {OTHER}
    requests = [
        Request(EVENT, "a"),
        Request(OTHER, "b"),
        Request(OTHER, "c"),
        Request(UUID(int=3), "d"),
    ]
    database.gate.clear()
    submitted = asyncio.create_task(batcher.submit_many(requests, FOREVER))
    await turns()
    later = asyncio.create_task(batcher.submit_many(requests_for(OTHER, "e"), FOREVER))
    await turns()
    database.gate.set()
    assert await submitted == ["A", "B", "C", "D"]
    assert await later == ["E"]
    assert database.batches == [["a", "b", "c", "d"], ["b", "c", "e"]]
    assert database.committed == ["a", "d", "b", "c", "e"]
    await turns()
    assert (len(batcher), batcher.waiting) == (0, 0)


async def test_a_batch_of_one_event_must_be_decided() -> None:
    async def undecided(requests: Sequence[Request]) -> list[str | None]:
        return [None for _ in requests]

    batcher: RequestBatcher = open_batcher(undecided, is_transient=lambda _: False)
    answers = await batcher.submit_many(requests_for(EVENT, "ab"), FOREVER)
    assert [type(answer) for answer in answers] == [ValueError, ValueError]


async def test_a_failing_batch_of_several_events_is_requeued_event_by_event(
    database: Database,
) -> None:
    batcher = batcher_of(database, max_in_flight=1)
    requests = [
        *requests_for(EVENT, "ab"),
        Request(OTHER, "c"),
        Request(OTHER, "broken"),
        *requests_for(UUID(int=3), "d"),
    ]
    answers = await batcher.submit_many(requests, FOREVER)
    assert isinstance(answers.pop(3), BrokenRequestError)
    assert answers == ["A", "B", "C", "D"]
    assert database.committed == list("abcd")
    assert database.batches == [
        ["a", "b", "c", "broken", "d"],
        ["a", "b"],
        ["c", "broken"],
        ["c"],
        ["broken"],
        ["d"],
    ]


@pytest.mark.parametrize("place", range(7))
async def test_a_failing_batch_of_one_event_is_split_until_the_broken_request_is_alone(
    database: Database, place: int
) -> None:
    batcher = batcher_of(database)
    names = list("abcdef")
    names.insert(place, "broken")
    answers = await batcher.submit_many(requests_for(EVENT, names), FOREVER)
    assert isinstance(answers.pop(place), BrokenRequestError)
    assert answers == list("ABCDEF")
    # The order of arrival holds in halves too: it decides who gets the last tickets.
    assert database.committed == list("abcdef")


async def test_a_transient_failure_is_retried_a_limited_number_of_times(database: Database) -> None:
    batcher = batcher_of(database)
    database.failures = [TransientError(), TransientError()]
    assert await batcher.submit_many(requests_for(EVENT, ["a", "b"]), FOREVER) == ["A", "B"]
    assert database.batches == [["a", "b"]] * 3
    database.failures = [TransientError(), TransientError(), TransientError()]
    answers = await batcher.submit_many(requests_for(EVENT, ["c", "d"]), FOREVER)
    assert [type(answer) for answer in answers] == [TransientError, TransientError]
    assert await batcher.submit_many(requests_for(EVENT, ["e"]), FOREVER) == ["E"]


async def test_a_wrong_number_of_outcomes_fails_all_requests() -> None:
    async def short(requests: Sequence[Request]) -> list[str]:
        return [request.name for request in requests][1:]

    batcher: RequestBatcher = open_batcher(short, is_transient=lambda _: False)
    answers = await batcher.submit_many(requests_for(EVENT, ["a", "b"]), FOREVER)
    assert [type(answer) for answer in answers] == [ValueError, ValueError]


async def test_a_cancelled_request_is_not_committed(database: Database) -> None:
    batcher = batcher_of(database)
    first = await database.block(batcher)
    cancelled = asyncio.create_task(
        batcher.submit_many(requests_for(EVENT, ["cancelled"]), FOREVER)
    )
    stays = asyncio.create_task(batcher.submit_many(requests_for(EVENT, ["stays"]), FOREVER))
    await asyncio.sleep(0)
    cancelled.cancel()
    database.gate.set()
    assert await stays == ["STAYS"]
    assert await first == ["FIRST"]
    assert database.committed == ["first", "stays"]
    assert cancelled.cancelled()


async def test_a_transaction_without_callers_is_cancelled_and_the_queue_continues(
    database: Database,
) -> None:
    batcher = batcher_of(database)
    first = await database.block(batcher)
    behind = asyncio.create_task(batcher.submit_many(requests_for(EVENT, ["behind"]), FOREVER))
    await asyncio.sleep(0)
    first.cancel()
    database.started.clear()
    await database.started.wait()  # the next batch; the gate was not opened for the first
    database.gate.set()
    assert await behind == ["BEHIND"]
    assert database.committed == ["behind"]


async def test_a_request_past_its_deadline_is_rejected_and_not_committed(
    database: Database,
) -> None:
    time = 100.0
    batcher: RequestBatcher = open_batcher(
        database.commit,
        is_transient=lambda _: False,
        clock=lambda: time,
    )
    first = await database.block(batcher)
    late = asyncio.create_task(batcher.submit_many(requests_for(EVENT, ["late"]), 105.0))
    in_time = asyncio.create_task(batcher.submit_many(requests_for(EVENT, ["in_time"]), 200.0))
    await asyncio.sleep(0)
    time = 105.0
    database.gate.set()
    [rejected] = await late
    assert isinstance(rejected, Busy)
    # The gateway spreads Retry-After: a constant would bring all clients back together.
    assert rejected.metadata == {}
    assert await in_time == ["IN_TIME"]
    await first
    assert database.committed == ["first", "in_time"]


async def test_a_request_that_would_exceed_its_deadline_is_rejected_at_submission(
    database: Database,
) -> None:
    time = 100.0
    batcher: RequestBatcher = open_batcher(
        database.commit,
        is_transient=lambda _: False,
        clock=lambda: time,
        limits=batching_limits(max_batch_size=2),
    )
    first = await database.block(batcher)
    tasks = [
        asyncio.create_task(batcher.submit_many(requests_for(EVENT, [name] * 2), FOREVER))
        for name in "abcd"
    ]
    await asyncio.sleep(0)
    time = 110.0  # one batch in ten seconds
    database.started.clear()
    database.gate.set()
    await first
    database.gate.clear()
    await database.started.wait()
    late, in_time = (
        asyncio.create_task(batcher.submit_many(requests_for(EVENT, ["x"]), deadline))
        for deadline in (111.0, 300.0)
    )
    [rejected] = await late
    assert isinstance(rejected, Busy)
    database.gate.set()
    assert await in_time == ["X"]
    await asyncio.gather(*tasks)


async def test_full_queues_reject_at_once(database: Database) -> None:
    batcher = batcher_of(database, max_waiting_per_event=2, max_waiting=3)
    first = await database.block(batcher)
    tasks = [
        asyncio.create_task(batcher.submit_many(requests_for(EVENT, [name]), FOREVER))
        for name in "abc"
    ]
    tasks += [
        asyncio.create_task(batcher.submit_many(requests_for(OTHER, [name]), FOREVER))
        for name in "de"
    ]
    await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [False, False, True, False, True]
    database.gate.set()
    answers = [answer for [answer] in await asyncio.gather(*tasks)]
    assert [answer if isinstance(answer, str) else answer.code for answer in answers] == [  # type: ignore[attr-defined]  # Busy has a code
        "A",
        "B",
        "busy",
        "D",
        "busy",
    ]
    await first
    assert batcher.waiting == 0


async def test_closing_decides_waiting_requests_and_rejects_new_ones(database: Database) -> None:
    batcher = batcher_of(database, max_batch_size=1)
    first = await database.block(batcher)
    queued = asyncio.create_task(batcher.submit_many(requests_for(EVENT, ["a", "b"]), FOREVER))
    await asyncio.sleep(0)
    closing = asyncio.create_task(batcher.close(60))
    await asyncio.sleep(0)
    [rejected] = await batcher.submit_many(requests_for(EVENT, ["late"]), FOREVER)
    assert isinstance(rejected, Busy)
    database.gate.set()
    await closing
    assert (await first, await queued) == (["FIRST"], ["A", "B"])


async def test_closing_answers_every_request_when_the_timeout_has_passed(
    database: Database,
) -> None:
    batcher = batcher_of(database, max_batch_size=1)
    first = await database.block(batcher)
    queued = asyncio.create_task(batcher.submit_many(requests_for(EVENT, ["a"]), FOREVER))
    await asyncio.sleep(0)
    await batcher.close(0)
    answers = [*await queued, *await first]  # type: ignore[misc]  # a task of object
    assert [type(answer) for answer in answers] == [Busy, Busy]
    assert (len(batcher), batcher.waiting, database.running) == (0, 0, 0)
    await batcher.close(0)
