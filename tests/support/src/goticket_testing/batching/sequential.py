"""Batched requests against an inventory that decides one request at a time.

Requests are submitted, cancelled, late, broken or interrupted, in any order. Each request is
answered exactly once. The requests of an event are decided in order of arrival. The granted
ones are those that a sequential inventory would grant.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import ClassVar, TypeVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from goticket_testing.batching.subject import (
    BrokenRequestError,
    ModelRequest,
    Subject,
    TransientError,
    Use,
)

ResultT = TypeVar("ResultT")
CAPACITY = 12
EVENTS = [UUID(int=number) for number in range(1, 5)]


class Inventory:
    """A database with one row per event; a batch is committed as a whole or not at all."""

    def __init__(self, use: Use) -> None:
        self.use = use
        self.available = dict.fromkeys(EVENTS, CAPACITY)
        self.granted: dict[int, bool] = {}
        self.decided: dict[UUID, list[ModelRequest]] = {event: [] for event in EVENTS}
        self.running: Counter[UUID] = Counter()
        self.batches = 0
        self.locked_elsewhere: set[UUID] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures_before: int = 0
        self.failures_after: int = 0

    async def commit(self, requests: Sequence[ModelRequest]) -> list[str | None]:
        """Decide the requests in their order; see `Commit`."""
        events = {request.event_id for request in requests}
        limits = self.use.limits
        assert 1 <= len(requests) <= limits.max_batch_size
        self.running.update(events)
        self.batches += 1
        assert max(self.running.values()) <= limits.max_in_flight_per_key
        assert self.batches <= limits.max_in_flight
        try:
            await self.gate.wait()
        finally:
            self.running.subtract(events)
            self.batches -= 1
        if self.failures_before:
            self.failures_before -= 1
            raise TransientError
        if any(request.is_broken for request in requests):
            raise BrokenRequestError
        undecided = self.locked_elsewhere if self.use.retries and len(events) > 1 else set()
        outcomes = [
            None if request.event_id in undecided else self._decide(request) for request in requests
        ]
        if self.failures_after:
            self.failures_after -= 1
            raise TransientError
        return outcomes

    def _decide(self, request: ModelRequest) -> str:
        """Recognize a request that an earlier attempt has committed, as booking does by id."""
        event_id = request.event_id
        if request.number not in self.granted:
            self.decided[event_id].append(request)
            is_granted = request.quantity <= self.available[event_id]
            self.granted[request.number] = is_granted
            self.available[event_id] -= request.quantity if is_granted else 0
        return "granted" if self.granted[request.number] else "sold out"


class SequentialModel(RuleBasedStateMachine):
    """Drives a use of batching on an event loop of its own, step by step."""

    uses: ClassVar[Sequence[Use]] = ()
    """One of them is chosen for each example."""

    @initialize(data=st.data())
    def open(self, data: st.DataObject) -> None:
        """Open a use of batching."""
        self.use = self.uses[data.draw(st.integers(0, len(self.uses) - 1), label="use")]
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.requests: list[ModelRequest] = []
        self.cancelled: set[int] = set()
        self.inventory, self.subject = self.run(self._open())

    async def _open(self) -> tuple[Inventory, Subject]:
        inventory = Inventory(self.use)
        subject = self.use.open(inventory.commit, self.use.limits, lambda: self.now)
        return inventory, subject

    def run(self, work: Coroutine[object, object, ResultT]) -> ResultT:
        """Run a coroutine on the loop."""
        return self.loop.run_until_complete(work)

    async def _turn(self, times: int = 4) -> None:
        for _ in range(times):
            await asyncio.sleep(0)

    @rule(
        events=st.lists(st.sampled_from(EVENTS), min_size=4, max_size=4),
        quantities=st.lists(st.integers(1, 5), min_size=1, max_size=4),
        time_left=st.sampled_from([2.0, 1_000.0]),
        broken=st.integers(0, 12),
        together=st.booleans(),
    )
    def submit(
        self,
        events: list[UUID],
        quantities: list[int],
        time_left: float,
        broken: int,
        together: bool,
    ) -> None:
        """Submit some requests, in one call or in several."""
        first = len(self.requests)
        requests = [
            ModelRequest(first + place, event, quantity, place + 1 == broken)
            for place, (event, quantity) in enumerate(zip(events, quantities, strict=False))
        ]
        self.requests += requests

        async def submit() -> None:
            for call in [requests] if together else [[request] for request in requests]:
                task = asyncio.create_task(self.subject.submit(call, self.now + time_left))
                for index, request in enumerate(call):
                    request.task, request.index = task, index
            await self._turn()

        self.run(submit())

    @rule(pick=st.integers(0, 1_000))
    def cancel(self, pick: int) -> None:
        """Cancel a call that is not answered."""
        pending = [request for request in self.requests if request.task and not request.task.done()]
        if pending:
            task = pending[pick % len(pending)].task
            assert task
            task.cancel()
            self.cancelled |= {other.number for other in self.requests if other.task is task}
            self.run(self._turn())

    @rule(seconds=st.sampled_from([0.5, 3.0]))
    def advance_clock(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @rule()
    def block_commits(self) -> None:
        """Let transactions wait."""
        self.inventory.gate.clear()

    @rule()
    def unblock_commits(self) -> None:
        """Let transactions commit."""
        self.inventory.gate.set()
        self.run(self._turn(30))

    @rule(before=st.integers(0, 4), after=st.integers(0, 2))
    def lose_connections(self, before: int, after: int) -> None:
        """Fail the next transactions before or after their commit."""
        self.inventory.failures_before, self.inventory.failures_after = before, after

    @rule(events=st.sets(st.sampled_from(EVENTS)))
    def lock_elsewhere(self, events: set[UUID]) -> None:
        """Let another process hold the locks of these events."""
        self.inventory.locked_elsewhere = events

    @invariant()
    def queues_are_bounded(self) -> None:
        """Requeued requests and those of idle keys are admitted beyond the bound."""
        if hasattr(self, "subject"):
            limits = self.use.limits
            requeued = limits.max_in_flight * limits.max_batch_size
            assert 0 <= self.subject.waiting <= limits.max_waiting + requeued + len(EVENTS)
            assert self.subject.queues <= len(EVENTS)

    @invariant()
    def nothing_is_oversold(self) -> None:
        """No event has negative inventory."""
        if hasattr(self, "inventory"):
            assert min(self.inventory.available.values()) >= 0

    def teardown(self) -> None:
        """Complete all requests, and compare with a sequential inventory."""
        if not hasattr(self, "inventory"):
            return
        self.inventory.gate.set()
        self.inventory.failures_before = self.inventory.failures_after = 0
        try:
            self.run(self._end())
        finally:
            self.loop.close()

    async def _end(self) -> None:
        tasks = [request.task for request in self.requests if request.task]
        if tasks:
            _, unanswered = await asyncio.wait(tasks, timeout=10)
            assert not unanswered, "a request is never answered"
        await self._turn(30)
        assert (self.subject.queues, self.subject.waiting) == (0, 0)
        for event_id, decided in self.inventory.decided.items():
            self._check_sequential(event_id, decided)
        for request in self.requests:
            self._check_answer(request)
        await self.subject.close()

    def _check_sequential(self, event_id: UUID, decided: Sequence[ModelRequest]) -> None:
        numbers = [request.number for request in decided]
        assert numbers == sorted(numbers), "a request was overtaken"
        available = CAPACITY
        for request in decided:
            expected = request.quantity <= available
            available -= request.quantity if expected else 0
            assert self.inventory.granted[request.number] is expected
        assert self.inventory.available[event_id] == available

    def _check_answer(self, request: ModelRequest) -> None:
        assert request.task
        if request.number in self.cancelled:
            assert request.task.cancelled()
            return
        answer = request.task.result()[request.index]
        if isinstance(answer, str):
            granted = self.inventory.granted[request.number]
            assert answer == ("granted" if granted else "sold out")
            assert not request.is_broken
        elif isinstance(answer, BrokenRequestError):
            assert request.is_broken or not self.use.retries, "another request was broken"
        else:
            assert isinstance(answer, (*self.use.rejections, TransientError))
