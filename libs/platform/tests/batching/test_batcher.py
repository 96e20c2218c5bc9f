"""The batcher: rules that hold for every executor."""

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TypeAlias

import pytest
from goticket_platform.batching import (
    Batcher,
    BatchingLimits,
    Entry,
    InFlightBatch,
    Rejection,
)

FOREVER = float("inf")
CALLER: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="")

Batch: TypeAlias = "InFlightBatch[str, Request, str]"


@dataclass(frozen=True)
class Request:
    """A request; its key is the part of its name before the dash."""

    name: str

    @property
    def key(self) -> str:
        return self.name.partition("-")[0]


def requests(*names: str) -> list[Request]:
    return [Request(name) for name in names]


class RejectedError(Exception):
    """The error of a rejected request."""

    def __init__(self, reason: Rejection) -> None:
        super().__init__(reason.value)
        self.reason = reason


class RefusedError(Exception):
    """The outcome of a request whose name contains "refused"."""


@dataclass
class Backend:
    """Executes batches on command of the test; the outcome of a request is its name."""

    now: float = 0.0
    batches: list[list[str]] = field(default_factory=list)
    callers: list[str] = field(default_factory=list)
    gates: list[asyncio.Event] = field(default_factory=list)
    requeues: set[str] = field(default_factory=set)
    """Names that the next batches requeue instead of resolving."""
    ignores: set[str] = field(default_factory=set)
    """Names that batches do not resolve."""

    async def execute(self, batch: Batch) -> None:
        names = [entry.request.name for entry in batch.entries]
        self.batches.append(names)
        self.callers.append(CALLER.get())
        gate = asyncio.Event()
        self.gates.append(gate)
        await gate.wait()
        batch.requeue([entry for entry in batch.entries if entry.request.name in self.requeues])
        for entry in batch.entries:
            name = entry.request.name
            if name not in self.requeues | self.ignores:
                entry.resolve(RefusedError() if "refused" in name else name)
        self.requeues.clear()

    async def complete(self, index: int) -> None:
        self.gates[index].set()
        await settle()

    async def complete_all(self) -> None:
        """Complete batches until none is in flight."""
        done = 0
        while done < len(self.gates):
            await self.complete(done)
            done += 1


def batcher_of(backend: Backend, limits: BatchingLimits) -> Batcher[str, Request, str]:
    return Batcher(
        backend.execute,
        key_of=attrgetter("key"),
        error_for=RejectedError,
        limits=limits,
        clock=lambda: backend.now,
    )


async def settle() -> None:
    """Let all tasks run until they wait."""
    for _ in range(8):
        await asyncio.sleep(0)


class Callers:
    """Callers in tasks of their own."""

    def __init__(self, batcher: Batcher[str, Request, str]) -> None:
        self.batcher = batcher
        self.tasks: dict[str, asyncio.Task[str]] = {}

    async def submit(self, *names: str, deadline: float = FOREVER) -> None:
        """Submit requests in the same turn of the loop."""
        for name in names:
            work = self.batcher.submit(Request(name), deadline)
            self.tasks[name] = asyncio.create_task(work)
        await settle()

    def outcome(self, name: str) -> str:
        """Return the outcome of a request, or the reason of its rejection."""
        error = self.tasks[name].exception()
        if isinstance(error, RejectedError):
            return error.reason.value
        assert error is None
        return self.tasks[name].result()


@pytest.fixture
def backend() -> Backend:
    return Backend()


SMALL = BatchingLimits(
    max_batch_size=4, max_in_flight=2, max_waiting=10, max_waiting_per_key=6, solo_threshold=3
)


@pytest.fixture
async def callers(backend: Backend) -> AsyncIterator[Callers]:
    callers = Callers(batcher_of(backend, SMALL))
    yield callers
    await callers.batcher.close()
    await asyncio.gather(*callers.tasks.values(), return_exceptions=True)


async def test_requests_that_wait_are_the_next_batch(backend: Backend, callers: Callers) -> None:
    await callers.submit("a-1")
    await callers.submit("a-2", "a-3")
    assert backend.batches == [["a-1"]]
    assert (callers.batcher.waiting, len(callers.batcher)) == (2, 1)
    await backend.complete_all()
    assert backend.batches == [["a-1"], ["a-2", "a-3"]]
    assert [callers.outcome(name) for name in ("a-1", "a-3")] == ["a-1", "a-3"]
    assert (callers.batcher.waiting, len(callers.batcher)) == (0, 0)


async def test_an_exception_as_outcome_is_raised_by_submit_and_returned_by_submit_many(
    backend: Backend, callers: Callers
) -> None:
    both = asyncio.create_task(callers.batcher.submit_many(requests("a", "b-refused"), FOREVER))
    await callers.submit("c-refused")
    await backend.complete_all()
    assert isinstance(callers.tasks["c-refused"].exception(), RefusedError)
    first, second = await both
    assert first == "a"
    assert isinstance(second, RefusedError)


async def test_a_small_queue_is_not_split_between_batches(
    backend: Backend, callers: Callers
) -> None:
    await callers.submit("x")
    await callers.submit("y")
    await callers.submit("a-1", "b-1", "b-2", "c-1", "c-2")
    await backend.complete(0)
    await backend.complete(1)
    assert backend.batches[2:] == [["a-1", "b-1", "b-2"], ["c-1", "c-2"]]


async def test_solo_batches_leave_room_for_small_keys(backend: Backend) -> None:
    limits = BatchingLimits(max_in_flight=2, max_solo_in_flight=1, solo_threshold=2)
    callers = Callers(batcher_of(backend, limits))
    await callers.submit("a-1", "a-2", "b-1", "b-2", "c")
    assert backend.batches == [["a-1", "a-2"], ["c"]]
    await backend.complete(1)
    assert len(backend.batches) == 2
    await backend.complete(0)
    assert backend.batches[2:] == [["b-1", "b-2"]]
    await backend.complete_all()


async def test_an_idle_key_is_admitted_while_other_keys_fill_the_queue(backend: Backend) -> None:
    limits = BatchingLimits(max_in_flight=2, max_waiting=2, max_solo_in_flight=1)
    callers = Callers(batcher_of(backend, limits))
    await callers.submit("a-1")
    await callers.submit("a-2", "a-3")
    await callers.submit("a-4", "b")
    assert callers.outcome("a-4") == "full"
    assert backend.batches == [["a-1"], ["b"]]
    await callers.submit("c")
    assert callers.outcome("c") == "full"
    await backend.complete_all()


async def test_the_rejection_reason_is_the_one_of_the_next_submission(
    backend: Backend, callers: Callers
) -> None:
    batcher = callers.batcher
    assert batcher.rejection_reason("a", FOREVER) is None
    await callers.submit("a-0")
    await callers.submit(*(f"a-{number}" for number in range(1, 7)))
    assert batcher.rejection_reason("a", FOREVER) is Rejection.FULL
    assert batcher.rejection_reason("b", FOREVER) is None
    backend.now = 3.0
    await backend.complete(0)
    assert batcher.rejection_reason("a", backend.now + 2.0) is Rejection.LATE
    assert batcher.rejection_reason("a", backend.now + 60.0) is None
    await batcher.close()
    assert batcher.rejection_reason("a", FOREVER) is Rejection.CLOSED


async def test_few_waiting_requests_are_not_rejected_because_of_the_estimate(
    backend: Backend,
) -> None:
    limits = BatchingLimits(max_batch_size=4, max_in_flight=2, min_waiting_for_estimate=4)
    callers = Callers(batcher_of(backend, limits))
    await callers.submit("a-0")
    await callers.submit("b-0")
    backend.now = 9.0
    await callers.submit(*(f"a-{number}" for number in range(1, 6)), deadline=10.0)
    await callers.submit("b-1", "b-2", "b-3", "c-1", "d-1", deadline=10.0)
    rejected = {"a-5", "d-1"}  # behind four requests of the key, and behind eight in total
    assert {name for name, task in callers.tasks.items() if task.done()} == rejected
    assert {callers.outcome(name) for name in rejected} == {"late"}
    await backend.complete_all()


async def test_a_batch_that_ends_without_an_outcome_aborts_its_requests(
    backend: Backend, callers: Callers
) -> None:
    backend.ignores.add("a-1")
    await callers.submit("a-1", "a-2")
    await backend.complete_all()
    assert (callers.outcome("a-1"), callers.outcome("a-2")) == ("aborted", "a-2")


async def test_requeued_requests_keep_their_place_in_a_solo_batch(
    backend: Backend, callers: Callers
) -> None:
    await callers.submit("x")
    await callers.submit("a-1", "b-1", "a-2")
    await callers.submit("a-3", "c-1")
    backend.requeues |= {"a-1", "a-2"}
    await backend.complete(1)
    assert backend.batches[1:] == [["a-1", "a-2", "b-1"], ["a-1", "a-2", "a-3"]]
    await callers.submit("a-4")
    assert callers.batcher.waiting == 2
    await backend.complete(2)
    assert callers.outcome("a-2") == "a-2"
    assert backend.batches[3:] == [["c-1", "a-4"]], "only the next batch is a solo batch"
    await backend.complete_all()


async def test_a_requeued_request_without_caller_is_dropped(
    backend: Backend, callers: Callers
) -> None:
    await callers.submit("a-1", "b-1")
    backend.requeues |= {"a-1"}
    callers.tasks["a-1"].cancel()
    await settle()
    await backend.complete_all()
    assert backend.batches == [["a-1", "b-1"]]
    assert (callers.batcher.waiting, len(callers.batcher)) == (0, 0)


async def test_a_batch_of_one_runs_in_the_context_of_its_caller_and_others_in_an_empty_one(
    backend: Backend, callers: Callers
) -> None:
    async def submit(name: str) -> None:
        CALLER.set(name)
        context = contextvars.copy_context()
        await callers.batcher.submit_many(requests(name), FOREVER, context)

    tasks = [asyncio.create_task(submit("a"))]
    await settle()
    tasks += [asyncio.create_task(submit(name)) for name in ("b-1", "b-2")]
    await settle()
    await callers.submit("c")
    await backend.complete_all()
    await asyncio.gather(*tasks)
    assert backend.batches == [["a"], ["b-1", "b-2"], ["c"]]
    assert backend.callers == ["a", "", ""]


async def test_cancelling_a_group_removes_what_waits_and_cancels_what_is_in_flight(
    backend: Backend, callers: Callers
) -> None:
    group = asyncio.create_task(callers.batcher.submit_many(requests("a-1", "b-1"), FOREVER))
    await settle()
    more = asyncio.create_task(callers.batcher.submit_many(requests("a-2", "c-1"), FOREVER))
    await callers.submit("a-3")
    assert backend.batches == [["a-1", "b-1"], ["c-1"]]
    more.cancel()
    group.cancel()
    await settle()
    assert backend.batches[2:] == [["a-3"]]
    await backend.complete_all()
    assert callers.outcome("a-3") == "a-3"
    assert (callers.batcher.waiting, len(callers.batcher)) == (0, 0)


async def test_a_cancelled_request_makes_room_in_the_queue(
    backend: Backend, callers: Callers
) -> None:
    await callers.submit("a-0")
    await callers.submit(*(f"a-{number}" for number in range(1, 7)))
    callers.tasks["a-3"].cancel()
    await settle()
    assert callers.batcher.waiting == 5
    await callers.submit("a-7", "a-8")
    assert callers.outcome("a-8") == "full"
    await backend.complete_all()
    assert callers.outcome("a-7") == "a-7"


async def test_closing_completes_waiting_requests_within_its_timeout(
    backend: Backend, callers: Callers
) -> None:
    await callers.submit("a-1")
    await callers.submit("a-2")
    closing = asyncio.create_task(callers.batcher.close(60))
    await callers.submit("b")
    assert callers.outcome("b") == "closed"
    await backend.complete_all()
    await closing
    assert (callers.outcome("a-1"), callers.outcome("a-2")) == ("a-1", "a-2")


async def test_closing_without_a_timeout_rejects_every_request(
    backend: Backend, callers: Callers
) -> None:
    await callers.submit("a-1")
    await callers.submit("a-2")
    await callers.batcher.close()
    await settle()
    assert (callers.outcome("a-1"), callers.outcome("a-2")) == ("aborted", "closed")
    assert (callers.batcher.waiting, len(callers.batcher)) == (0, 0)


async def test_answered_requests_leave_no_reference_cycles(
    backend: Backend, callers: Callers
) -> None:
    async def submit_both() -> Sequence[str | Exception]:
        return await callers.batcher.submit_many(requests("a-1", "a-2"), FOREVER)

    gc.collect()
    gc.disable()
    try:
        both = asyncio.create_task(submit_both())
        await callers.submit("b-1", "c-refused")
        await backend.complete_all()
        assert await both == ["a-1", "a-2"]
        assert isinstance(callers.tasks["c-refused"].exception(), RefusedError)
        callers.tasks.clear()
        del both
        assert not [item for item in gc.get_objects() if isinstance(item, Entry)]
    finally:
        gc.enable()


async def test_no_batch_is_dispatched_after_close() -> None:
    gate = asyncio.get_running_loop().create_future()
    dispatched: list[list[str]] = []

    async def execute(batch: Batch) -> None:
        dispatched.append([entry.request.name for entry in batch.entries])
        await gate
        batch.requeue(batch.entries)

    batcher = Batcher(
        execute, key_of=attrgetter("key"), error_for=RejectedError, limits=BatchingLimits()
    )
    submitted = [
        asyncio.create_task(batcher.submit(one, FOREVER)) for one in requests("a-1", "b-1")
    ]
    await asyncio.sleep(0.01)
    gate.set_result(None)
    await batcher.close()
    results = await asyncio.gather(*submitted, return_exceptions=True)
    assert [type(result) for result in results] == [RejectedError] * 2
    assert dispatched == [["a-1", "b-1"]]
