"""Arrivals, completions, failures, cancellations and time in any order.

Each request is answered once, the requests of an event are sent in order of arrival, and the
bounds hold at every step.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from hypothesis import strategies as st

from goticket_testing.batching.subject import BrokenRequestError, ModelRequest, Subject, Use

Action = tuple[str, int]
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, 3)),
        st.tuples(st.just("complete"), st.integers(0, 3)),
        st.tuples(st.just("fail"), st.integers(0, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 40)),
        st.tuples(st.just("wait"), st.integers(1, 3)),
    ),
    max_size=60,
)
DEADLINE = 5.0
"""Seconds from the submission of a request."""


@dataclass(eq=False)
class Call:
    """A batch in flight, until the test ends it."""

    requests: Sequence[ModelRequest]
    end: asyncio.Future[Sequence[str | None]]

    def complete(self) -> None:
        """Decide every request."""
        if not self.end.done():
            self.end.set_result([str(request.number) for request in self.requests])

    def fail(self) -> None:
        """Fail the whole batch."""
        if not self.end.done():
            self.end.set_exception(BrokenRequestError())


@dataclass
class Backend:
    """A scripted backend."""

    calls: list[Call] = field(default_factory=list)

    async def commit(self, requests: Sequence[ModelRequest]) -> Sequence[str | None]:
        """Wait until the test ends the call."""
        call = Call(requests, asyncio.get_running_loop().create_future())
        self.calls.append(call)
        return await call.end

    @property
    def in_flight(self) -> list[Call]:
        """The calls that are not ended."""
        return [call for call in self.calls if not call.end.done()]


def check_interleaving(actions: Sequence[Action], use: Use) -> None:
    """Play the actions against a use of batching.

    Raises:
        AssertionError: a bound, the order or an answer is wrong.
    """
    asyncio.run(_Play(use).run(actions))


class _Play:
    def __init__(self, use: Use) -> None:
        self._use = use
        self._now = 0.0
        self._backend = Backend()
        self._requests: list[ModelRequest] = []

    async def run(self, actions: Sequence[Action]) -> None:
        subject = self._use.open(self._backend.commit, self._use.limits, lambda: self._now)
        for action, value in actions:
            self._act(subject, action, value)
            await _settle()
            self._check_bounds(subject)
        while self._backend.in_flight:
            self._backend.in_flight[0].complete()
            await _settle()
        self._check_order()
        self._check_answers()
        assert (subject.queues, subject.waiting) == (0, 0)
        await subject.close()

    def _act(self, subject: Subject, action: str, value: int) -> None:
        if action == "submit":
            request = ModelRequest(len(self._requests), UUID(int=value))
            submitted = subject.submit([request], self._now + DEADLINE)
            request.task = asyncio.ensure_future(submitted)
            self._requests.append(request)
        elif action == "cancel" and self._requests:
            task = self._requests[value % len(self._requests)].task
            assert task
            task.cancel()
        elif action == "wait":
            self._now += value
        elif self._backend.in_flight:
            call = self._backend.in_flight[value % len(self._backend.in_flight)]
            call.complete() if action == "complete" else call.fail()

    def _check_bounds(self, subject: Subject) -> None:
        limits, in_flight = self._use.limits, self._backend.in_flight
        assert len(in_flight) <= limits.max_in_flight
        events = Counter(
            event for call in in_flight for event in {request.event_id for request in call.requests}
        )
        assert max(events.values(), default=0) <= limits.max_in_flight_per_key
        assert all(len(call.requests) <= limits.max_batch_size for call in in_flight)
        requeued = limits.max_in_flight * limits.max_batch_size
        assert subject.waiting <= limits.max_waiting + requeued

    def _check_order(self) -> None:
        sent = [request for call in self._backend.calls for request in call.requests]
        if not self._use.retries:
            assert len(set(sent)) == len(sent), "a request was sent twice"
        first_sent = list(dict.fromkeys(sent))
        for event in {request.event_id for request in sent}:
            numbers = [request.number for request in first_sent if request.event_id == event]
            assert numbers == sorted(numbers), "a request was overtaken"

    def _check_answers(self) -> None:
        for request in self._requests:
            task = request.task
            assert task
            assert task.done(), f"request {request.number} is never answered"
            if task.cancelled():
                continue
            [answer] = task.result()
            if isinstance(answer, Exception):
                assert isinstance(answer, (*self._use.rejections, BrokenRequestError))
            else:
                assert answer == str(request.number)


async def _settle() -> None:
    """Let every task run until it waits for the backend."""
    for _ in range(12):
        await asyncio.sleep(0)
