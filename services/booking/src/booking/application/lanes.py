"""Group commit: what has queued for an event while its last batch committed is the next batch.

A lane is the queue of one event. It exists while somebody waits in it and commits one
batch at a time. That makes it fast, never right: the commit itself holds the locks.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from booking.domain.errors import Busy

RequestT = TypeVar("RequestT")
OutcomeT = TypeVar("OutcomeT")

RETRY_SECONDS = (0.02, 0.1, 0.3)
"""Pauses before a batch that failed for a transient reason is committed again."""
RETRY_AFTER = {"retryAfter": "1"}
"""Seconds after which somebody who was turned away may come back."""
_SMOOTHING = 0.2
"""Weight of the latest batch in the average time a batch takes."""


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """How much may be under way.

    `batch` requests in one commit, `lane` and `total` requests that wait in one lane
    and in all of them, `commits` at the same time.
    """

    batch: int = 256
    lane: int = 2_048
    total: int = 8_192
    commits: int = 4


@dataclass(slots=True, eq=False)
class _Waiter(Generic[RequestT, OutcomeT]):
    """A request, and the future through which its caller learns the outcome."""

    request: RequestT
    deadline: float
    answer: asyncio.Future[OutcomeT]
    context: contextvars.Context
    """The caller's: its trace, and whom its log lines name."""

    def refuse(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def tell(self, outcome: OutcomeT) -> None:
        if not self.answer.done():
            self.answer.set_result(outcome)


class _Lane(Generic[RequestT, OutcomeT]):
    """Those who wait for one event, and those whose batch is being committed."""

    def __init__(self, event_id: UUID) -> None:
        self.event_id = event_id
        self.queue: deque[_Waiter[RequestT, OutcomeT]] = deque()
        self.batch: Sequence[_Waiter[RequestT, OutcomeT]] = ()
        self.commit: asyncio.Task[None] | None = None
        self.batch_seconds = 0.0
        """How long a batch has taken lately, with the wait for its turn."""


class Lanes(Generic[RequestT, OutcomeT]):
    """A lane for every event that somebody wants something of.

    `commit` decides a batch in its order, in one transaction, with an outcome for each
    request; when it raises, nothing has happened, or it finds that out when it is called
    again. `is_transient` tells which of its failures are worth that. `clock` is the event loop's
    unless a test holds it. `observe` is told the size of each batch.
    """

    def __init__(
        self,
        commit: Callable[[UUID, Sequence[RequestT]], Awaitable[Sequence[OutcomeT]]],
        *,
        is_transient: Callable[[BaseException], bool],
        limits: LaneLimits | None = None,
        retry_seconds: Sequence[float] = RETRY_SECONDS,
        clock: Callable[[], float] | None = None,
        observe: Callable[[int], None] = lambda _size: None,
    ) -> None:
        self._commit = commit
        self._is_transient = is_transient
        self._limits = limits or LaneLimits()
        self._retry_seconds = retry_seconds
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._observe = observe
        self._lanes: dict[UUID, _Lane[RequestT, OutcomeT]] = {}
        self._runners: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(self._limits.commits)
        self._closed = False
        self.depth = 0
        """How many requests wait, over all lanes."""

    def __len__(self) -> int:
        """Return how many lanes there are."""
        return len(self._lanes)

    async def ask(
        self, event_id: UUID, requests: Sequence[RequestT], deadline: float
    ) -> list[OutcomeT | Exception]:
        """Queue the requests in their order and wait for their outcomes.

        Those that have no chance to be decided before `deadline`, a time of the clock,
        are refused with Busy at once. A caller that is cancelled takes along what has
        not been begun.
        """
        answers = [self._enter(event_id, request, deadline) for request in requests]
        if not answers:
            return []
        try:
            await asyncio.wait(answers)
        except asyncio.CancelledError:
            for answer in answers:
                if not answer.cancel():
                    answer.exception()  # seen, though nobody is left to tell
            self._abandon(event_id)
            raise
        return [answer.exception() or answer.result() for answer in answers]  # type: ignore[misc]  # a future's exception is no BaseException here: `refuse` takes none

    async def close(self, timeout: float) -> None:
        """Take no more, let the lanes run empty for `timeout` seconds, refuse who is left."""
        self._closed = True
        runners = set(self._runners)
        if not runners:
            return
        _, late = await asyncio.wait(runners, timeout=timeout)
        for runner in late:
            runner.cancel()
        if late:
            await asyncio.wait(late)

    def _enter(
        self, event_id: UUID, request: RequestT, deadline: float
    ) -> asyncio.Future[OutcomeT]:
        answer: asyncio.Future[OutcomeT] = asyncio.get_running_loop().create_future()
        lane = self._lanes.get(event_id)
        waiting = len(lane.queue) if lane else 0
        full = waiting >= self._limits.lane or self.depth >= self._limits.total
        if self._closed or full or (lane and self._hopeless(lane, deadline)):
            answer.set_exception(Busy(metadata=RETRY_AFTER))
            return answer
        if lane is None:
            lane = self._open(event_id)
        lane.queue.append(_Waiter(request, deadline, answer, contextvars.copy_context()))
        self.depth += 1
        return answer

    def _hopeless(self, lane: _Lane[RequestT, OutcomeT], deadline: float) -> bool:
        """Tell whether, at the pace of late, `deadline` passes before a newcomer's turn.

        Asked only when a whole batch waits already: before that nothing is overloaded,
        and one slow commit must not turn people away.
        """
        batches = len(lane.queue) // self._limits.batch
        return bool(batches) and self._clock() + (batches + 1) * lane.batch_seconds > deadline

    def _open(self, event_id: UUID) -> _Lane[RequestT, OutcomeT]:
        lane = _Lane[RequestT, OutcomeT](event_id)
        self._lanes[event_id] = lane
        # A context of its own: the lane serves many, and logs as none of them.
        runner = asyncio.create_task(self._run(lane), context=contextvars.Context())
        self._runners.add(runner)
        runner.add_done_callback(lambda done: self._close_lane(lane, done))
        return lane

    def _close_lane(self, lane: _Lane[RequestT, OutcomeT], runner: asyncio.Task[None]) -> None:
        """Forget a lane whose runner has ended, and leave nobody in it waiting."""
        self._runners.discard(runner)
        if self._lanes.get(lane.event_id) is lane:
            del self._lanes[lane.event_id]
        if not runner.cancelled():
            runner.exception()  # seen: what its waiters are told is Busy
        for waiter in (*lane.batch, *lane.queue):
            waiter.refuse(Busy(metadata=RETRY_AFTER))
        self.depth -= len(lane.queue)
        lane.queue.clear()

    async def _run(self, lane: _Lane[RequestT, OutcomeT]) -> None:
        while lane.queue:
            begun = self._clock()
            async with self._slots:
                # Formed only now: whoever came during the wait for the turn is in.
                lane.batch = self._next_batch(lane)
                await self._serve(lane, lane.batch)
                lane.batch = ()
            spent = self._clock() - begun
            lane.batch_seconds += _SMOOTHING * (spent - lane.batch_seconds)
        # No await since the queue was seen empty: nobody can have come in between.
        del self._lanes[lane.event_id]

    def _next_batch(self, lane: _Lane[RequestT, OutcomeT]) -> list[_Waiter[RequestT, OutcomeT]]:
        batch: list[_Waiter[RequestT, OutcomeT]] = []
        while lane.queue and len(batch) < self._limits.batch:
            waiter = lane.queue.popleft()
            self.depth -= 1
            batch += self._still_wanted([waiter])
        return batch

    def _still_wanted(
        self, batch: Sequence[_Waiter[RequestT, OutcomeT]]
    ) -> list[_Waiter[RequestT, OutcomeT]]:
        """Leave out whose caller has gone, refuse whose deadline has passed."""
        now = self._clock()
        for waiter in batch:
            if now >= waiter.deadline:
                waiter.refuse(Busy(metadata=RETRY_AFTER))
        return [waiter for waiter in batch if not waiter.answer.done()]

    async def _serve(
        self, lane: _Lane[RequestT, OutcomeT], batch: Sequence[_Waiter[RequestT, OutcomeT]]
    ) -> None:
        """Commit a batch, again if that may help; find who spoils it if not."""
        failure: Exception | None = None
        for pause in (0.0, *self._retry_seconds):
            if pause:
                await asyncio.sleep(pause)
            batch = self._still_wanted(batch)
            if not batch:
                return
            failure = await self._attempt(lane, batch)
            if failure is None:
                return
            if not self._is_transient(failure):
                break
        if failure is None:
            return
        if len(batch) == 1 or self._is_transient(failure):
            for waiter in batch:
                waiter.refuse(failure)
            return
        half = len(batch) // 2
        await self._serve(lane, batch[:half])
        await self._serve(lane, batch[half:])

    async def _attempt(
        self, lane: _Lane[RequestT, OutcomeT], batch: Sequence[_Waiter[RequestT, OutcomeT]]
    ) -> Exception | None:
        """Commit once and tell the outcomes; return what went wrong."""
        self._observe(len(batch))
        # A task of its own, so that it can be ended when nobody wants its outcome.
        # Alone, a request keeps its own trace; a batch of many belongs to none of them.
        context = batch[0].context if len(batch) == 1 else contextvars.copy_context()
        lane.commit = asyncio.create_task(
            self._tell_outcomes(lane.event_id, batch), context=context
        )
        try:
            await asyncio.wait([lane.commit])
        except asyncio.CancelledError:
            lane.commit.cancel()
            await asyncio.wait([lane.commit])
            raise
        commit, lane.commit = lane.commit, None
        if commit.cancelled():
            return Busy(metadata=RETRY_AFTER)
        failure = commit.exception()
        if failure is not None and not isinstance(failure, Exception):
            raise failure
        return failure

    async def _tell_outcomes(
        self, event_id: UUID, batch: Sequence[_Waiter[RequestT, OutcomeT]]
    ) -> None:
        outcomes = await self._commit(event_id, [waiter.request for waiter in batch])
        # All or none: an outcome too many or too few belongs to nobody.
        for waiter, outcome in list(zip(batch, outcomes, strict=True)):
            waiter.tell(outcome)

    def _abandon(self, event_id: UUID) -> None:
        """End a commit that all of its callers have left."""
        lane = self._lanes.get(event_id)
        if lane and lane.commit and all(waiter.answer.done() for waiter in lane.batch):
            lane.commit.cancel()
