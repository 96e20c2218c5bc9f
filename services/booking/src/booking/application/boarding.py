"""Who waits for which event, and who of them shares the next commit."""

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

RequestT = TypeVar("RequestT")
OutcomeT = TypeVar("OutcomeT")

_SMOOTHING = 0.2
"""Weight of the latest batch in the average time a batch takes."""


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """How much may be under way.

    `batch` requests in one commit, `lane` and `total` requests that wait in one lane
    and in all of them, `commits` at the same time. A lane with `crowd` waiting commits
    alone: by then a transaction of its own is a small part of what its requests cost.
    """

    batch: int = 256
    lane: int = 2_048
    total: int = 8_192
    commits: int = 4
    crowd: int = 32

    @property
    def solos(self) -> int:
        """Most commits at a time of a single lane: one is left for all the small ones."""
        return max(1, self.commits - 1)

    def is_crowd(self, waiting: int) -> bool:
        """Tell whether so many of one event travel alone."""
        return waiting >= min(self.crowd, self.batch)


class Pace:
    """How long a batch has taken lately, in seconds, with the wait for its turn."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def count(self, seconds: float) -> None:
        """Take the latest batch into the average."""
        self.seconds += _SMOOTHING * (seconds - self.seconds)

    def too_slow(self, batches: int, left: float) -> bool:
        """Tell whether whoever comes behind `batches` is not served in the seconds left.

        Nobody is turned away before a whole batch waits: until then nothing is
        overloaded, and one slow commit says little.
        """
        return bool(batches) and (batches + 1) * self.seconds > left


class Call(Generic[OutcomeT]):
    """A caller, who waits until `deadline` for an answer to each of `size` requests."""

    def __init__(self, size: int, deadline: float) -> None:
        self.deadline = deadline
        self.context = contextvars.copy_context()
        """The caller's: its trace, and whom its log lines name."""
        self.answers: list[OutcomeT | Exception | None] = [None] * size
        self.gone = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open = size

    def tell(self, place: int, answer: OutcomeT | Exception) -> None:
        """Answer one of the requests, which has no answer yet."""
        self.answers[place] = answer
        self._open -= 1
        if not self._open and not self.done.done():
            self.done.set_result(None)


@dataclass(slots=True, eq=False)
class Waiter(Generic[RequestT, OutcomeT]):
    """A request that waits for its outcome; `number` tells in which order they came."""

    request: RequestT
    event_id: UUID
    number: int
    call: Call[OutcomeT]
    place: int
    told: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits for the outcome."""
        return not (self.told or self.call.gone)

    def tell(self, answer: OutcomeT | Exception) -> None:
        """Give the answer, unless there is one."""
        if not self.told:
            self.told = True
            self.call.tell(self.place, answer)


class Lane(Generic[RequestT, OutcomeT]):
    """Those who wait for one event."""

    def __init__(self, event_id: UUID) -> None:
        self.event_id = event_id
        self.queue: deque[Waiter[RequestT, OutcomeT]] = deque()
        self.travels = False
        """Whether some of its waiters are in a commit."""
        self.alone = False
        """Whether the next commit must be its own."""
        self.joined = 0.0
        """When it came to the line, by the clock."""
        self.pace = Pace()

    def take(self, most: int) -> list[Waiter[RequestT, OutcomeT]]:
        """Take those who came first out of the queue, onto a trip."""
        self.travels, self.alone = True, False
        return [self.queue.popleft() for _ in range(min(most, len(self.queue)))]

    def put_back(self, waiters: Sequence[Waiter[RequestT, OutcomeT]]) -> None:
        """Let these be first again, with the next commit for this lane alone."""
        self.queue.extendleft(reversed(waiters))
        self.alone = True


@dataclass(slots=True, eq=False)
class Trip(Generic[RequestT, OutcomeT]):
    """A batch on its way, and the lanes it is of."""

    lanes: Sequence[Lane[RequestT, OutcomeT]]
    waiters: Sequence[Waiter[RequestT, OutcomeT]]
    solo: bool
    commits: bool = False
    """Whether it is in a commit now."""
    abandoned: bool = False
    """Whether that commit was ended because nobody waits for any of its outcomes."""

    @property
    def is_wanted(self) -> bool:
        """Whether somebody still waits for any of the outcomes."""
        return any(waiter.is_wanted for waiter in self.waiters)

    @property
    def joined(self) -> float:
        """When the first of the lanes came to the line."""
        return min(lane.joined for lane in self.lanes)


class Line(Generic[RequestT, OutcomeT]):
    """The lanes that could leave; whose first waiter came first is first."""

    def __init__(self, limits: LaneLimits) -> None:
        self._limits = limits
        self._heap: list[tuple[int, Lane[RequestT, OutcomeT]]] = []

    def __len__(self) -> int:
        """Return how many lanes wait for a commit."""
        return len(self._heap)

    def join(self, lane: Lane[RequestT, OutcomeT]) -> None:
        """Let a lane in which somebody waits wait for its turn."""
        heapq.heappush(self._heap, (lane.queue[0].number, lane))

    def leave(self) -> list[Lane[RequestT, OutcomeT]]:
        """Let all of them go."""
        lanes = [lane for _, lane in self._heap]
        self._heap.clear()
        return lanes

    def next_trip(self, *, solo_allowed: bool) -> Trip[RequestT, OutcomeT] | None:
        """Take the first lane alone if it has to be, else all the small ones that fit.

        None when only lanes are left that have to travel alone, and may not yet.
        """
        lanes: list[Lane[RequestT, OutcomeT]] = []
        passed: list[Lane[RequestT, OutcomeT]] = []
        room, solo = self._limits.batch, False
        while self._heap and not solo:
            _, lane = heapq.heappop(self._heap)
            if lane.alone or self._limits.is_crowd(len(lane.queue)):
                solo = solo_allowed and not lanes
                if not solo:
                    passed.append(lane)
                    continue
            elif len(lane.queue) > room:
                passed.append(lane)
                break
            lanes.append(lane)
            room -= len(lane.queue)
        for lane in passed:
            self.join(lane)
        if not lanes:
            return None
        waiters = [waiter for lane in lanes for waiter in lane.take(self._limits.batch)]
        return Trip(lanes, waiters, solo)
