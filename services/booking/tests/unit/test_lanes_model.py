"""Lanes against a counter that serves one request at a time.

Events share commits. Whatever arrives, gives up, comes too late, spoils its batch, meets
a lost connection or an event that is busy elsewhere:
each request is answered exactly once, those served were served in the order in which
they came, and exactly those are granted that one person at the counter would grant.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TypeVar
from uuid import UUID

from booking.application.boarding import LaneLimits
from booking.application.lanes import Lanes
from booking.domain.errors import Busy
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

ResultT = TypeVar("ResultT")
CAPACITY = 12
EVENTS = [UUID(int=number) for number in range(1, 5)]
LIMITS = [
    LaneLimits(batch=3, lane=6, total=9, commits=1, crowd=2),
    LaneLimits(batch=4, lane=6, total=14, commits=2, crowd=3),
    LaneLimits(batch=8, lane=8, total=20, commits=3, crowd=8),
]


class NonRetryableError(Exception):
    """The request breaks whatever commits it."""


class Flaky(Exception):
    """The connection is lost before the commit, or after it: then its answer is lost."""


@dataclass(eq=False)
class Wish:
    """One request, and what came of it."""

    number: int
    event: UUID
    quantity: int
    poisoned: bool
    task: "asyncio.Task[list[str | Exception]] | None" = None
    place: int = 0
    """Which of the answers of its call is its own."""


class Stock:
    """A database with one row per event; a batch counts as a whole or not at all."""

    def __init__(self, limits: LaneLimits) -> None:
        self.limits = limits
        self.left = dict.fromkeys(EVENTS, CAPACITY)
        self.granted: dict[int, bool] = {}
        self.served: dict[UUID, list[Wish]] = {event: [] for event in EVENTS}
        self.busy: set[UUID] = set()
        self.busy_elsewhere: set[UUID] = set()
        self.running = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.lost_before: int = 0
        self.lost_after: int = 0

    async def commit(self, wishes: Sequence[Wish]) -> list[str | None]:
        events = {wish.event for wish in wishes}
        assert 1 <= len(wishes) <= self.limits.batch
        assert not events & self.busy, "two transactions for one event"
        self.busy |= events
        self.running += 1
        assert self.running <= self.limits.commits
        try:
            await self.gate.wait()
        finally:
            self.busy -= events
            self.running -= 1
        if self.lost_before:
            self.lost_before -= 1
            raise Flaky
        if any(wish.poisoned for wish in wishes):
            raise NonRetryableError
        skipped = self.busy_elsewhere if len(events) > 1 else set()
        outcomes = [
            None if wish.event in skipped else self._decide(wish.event, wish) for wish in wishes
        ]
        if self.lost_after:
            self.lost_after -= 1
            raise Flaky
        return outcomes

    def _decide(self, event: UUID, wish: Wish) -> str:
        """Recognise what an earlier try has committed, as the real one does by its ids."""
        if wish.number not in self.granted:
            self.served[event].append(wish)
            granted = wish.quantity <= self.left[event]
            self.granted[wish.number] = granted
            self.left[event] -= wish.quantity if granted else 0
        return "granted" if self.granted[wish.number] else "sold out"


class LanesAgainstACounter(RuleBasedStateMachine):
    """Drives lanes on a loop of its own, step by step."""

    @initialize(limits=st.sampled_from(LIMITS))
    def open(self, limits: LaneLimits) -> None:
        self.limits = limits
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.wishes: list[Wish] = []
        self.given_up: set[int] = set()
        self.stock = self.run(self._open())

    async def _open(self) -> Stock:
        stock = Stock(self.limits)
        self.lanes: Lanes[Wish, str] = Lanes(
            stock.commit,
            event_of=attrgetter("event"),
            is_transient=lambda error: isinstance(error, Flaky),
            limits=self.limits,
            retry_seconds=(0, 0),
            clock=lambda: self.now,
        )
        return stock

    def run(self, work: Coroutine[object, object, ResultT]) -> ResultT:
        return self.loop.run_until_complete(work)

    async def _turn(self, times: int = 3) -> None:
        for _ in range(times):
            await asyncio.sleep(0)

    @rule(
        events=st.lists(st.sampled_from(EVENTS), min_size=4, max_size=4),
        quantities=st.lists(st.integers(1, 5), min_size=1, max_size=4),
        patience=st.sampled_from([2.0, 1_000.0]),
        poisoned=st.integers(0, 12),
        together=st.booleans(),
    )
    def ask(
        self,
        events: list[UUID],
        quantities: list[int],
        patience: float,
        poisoned: int,
        together: bool,
    ) -> None:
        first = len(self.wishes)
        wishes = [
            Wish(first + place, event, quantity, place + 1 == poisoned)
            for place, (event, quantity) in enumerate(zip(events, quantities, strict=False))
        ]
        self.wishes += wishes

        async def ask() -> None:
            for call in [wishes] if together else [[wish] for wish in wishes]:
                task = asyncio.create_task(self.lanes.ask(call, self.now + patience))
                for place, wish in enumerate(call):
                    wish.task, wish.place = task, place
            await self._turn()

        self.run(ask())

    @rule(pick=st.integers(0, 1_000))
    def give_up(self, pick: int) -> None:
        waiting = [wish for wish in self.wishes if wish.task and not wish.task.done()]
        if waiting:
            wish = waiting[pick % len(waiting)]
            assert wish.task
            wish.task.cancel()
            self.given_up |= {other.number for other in self.wishes if other.task is wish.task}
            self.run(self._turn())

    @rule(seconds=st.sampled_from([0.5, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def block(self) -> None:
        self.stock.gate.clear()

    @rule()
    def go_on(self) -> None:
        self.stock.gate.set()
        self.run(self._turn(30))

    @rule(before=st.integers(0, 4), after=st.integers(0, 2))
    def lose_connections(self, before: int, after: int) -> None:
        self.stock.lost_before, self.stock.lost_after = before, after

    @rule(events=st.sets(st.sampled_from(EVENTS)))
    def be_busy_elsewhere(self, events: set[UUID]) -> None:
        self.stock.busy_elsewhere = events

    @invariant()
    def queues_are_bounded(self) -> None:
        if hasattr(self, "lanes"):
            # Who comes back from a batch that was taken apart has been let in before.
            coming_back = self.limits.commits * self.limits.batch
            assert 0 <= self.lanes.depth <= self.limits.total + coming_back
            assert len(self.lanes) <= len(EVENTS)

    @invariant()
    def nothing_is_oversold(self) -> None:
        if hasattr(self, "stock"):
            assert min(self.stock.left.values()) >= 0

    def teardown(self) -> None:
        if not hasattr(self, "stock"):
            return
        self.stock.gate.set()
        self.stock.lost_before = self.stock.lost_after = 0
        try:
            self.run(self._end())
        finally:
            self.loop.close()

    async def _end(self) -> None:
        tasks = [wish.task for wish in self.wishes if wish.task]
        if tasks:
            _, lost = await asyncio.wait(tasks, timeout=10)
            assert not lost, "somebody waits for ever"
        await self._turn(30)
        assert (len(self.lanes), self.lanes.depth) == (0, 0)
        for event, served in self.stock.served.items():
            numbers = [wish.number for wish in served]
            assert numbers == sorted(numbers), "somebody was overtaken"
            left = CAPACITY
            for wish in served:
                expected = wish.quantity <= left
                left -= wish.quantity if expected else 0
                assert self.stock.granted[wish.number] is expected
            assert self.stock.left[event] == left
        for wish in self.wishes:
            self._must_be_answered(wish)

    def _must_be_answered(self, wish: Wish) -> None:
        assert wish.task
        if wish.number in self.given_up:
            assert wish.task.cancelled()
            return
        answer = wish.task.result()[wish.place]
        if isinstance(answer, str):
            assert answer == ("granted" if self.stock.granted[wish.number] else "sold out")
            assert not wish.poisoned
        elif isinstance(answer, NonRetryableError):
            assert wish.poisoned, "a neighbour's fault"
        else:
            assert isinstance(answer, Busy | Flaky)


LanesAgainstACounter.TestCase.settings = settings(max_examples=150, deadline=None)
TestLanesAgainstACounter = LanesAgainstACounter.TestCase
