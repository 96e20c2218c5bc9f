"""Group commit: what has queued while the last batches committed is the next batch.

A lane is the queue of one event. It exists while somebody waits in it or is being
served, and it is in one commit at a time. An event with a crowd commits alone, so that
its locks hold up nobody else; small lanes share a commit. That makes it fast, never
right: the commit itself holds the locks.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from typing import Generic, TypeVar, cast
from uuid import UUID

from booking.application.boarding import Call, Lane, LaneLimits, Line, Pace, Trip, Waiter
from booking.domain.errors import Busy

RequestT = TypeVar("RequestT")
OutcomeT = TypeVar("OutcomeT")

RETRY_SECONDS = (0.02, 0.1, 0.3)
"""Pauses before a batch that failed for a transient reason is committed again."""
RETRY_AFTER = {"retryAfter": "1"}
"""Seconds after which somebody who was turned away may come back."""


class Lanes(Generic[RequestT, OutcomeT]):
    """A lane for every event that somebody wants something of.

    `commit` decides a batch in its order, in one transaction, with an outcome for each
    request; when it raises, nothing has happened, or it finds that out when it is called
    again. Of a batch of several events it may leave requests undecided, with None for an
    outcome: their events then travel alone. `event_of` names a request's event.
    `is_transient` tells which failures may pass by themselves. `clock` is the event
    loop's unless a test holds it. `observe` is told the size of each batch.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[RequestT]], Awaitable[Sequence[OutcomeT | None]]],
        *,
        event_of: Callable[[RequestT], UUID],
        is_transient: Callable[[BaseException], bool],
        limits: LaneLimits | None = None,
        retry_seconds: Sequence[float] = RETRY_SECONDS,
        clock: Callable[[], float] | None = None,
        observe: Callable[[int], None] = lambda _size: None,
    ) -> None:
        self._commit = commit
        self._event_of = event_of
        self._is_transient = is_transient
        self._limits = limits or LaneLimits()
        self._retry_seconds = retry_seconds
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._observe = observe
        self._lanes: dict[UUID, Lane[RequestT, OutcomeT]] = {}
        self._line: Line[RequestT, OutcomeT] = Line(self._limits)
        self._trips: dict[asyncio.Task[None], Trip[RequestT, OutcomeT]] = {}
        self._boarding: asyncio.Handle | None = None
        self._pace = Pace()
        self._came = 0
        self._closed = self._over = False
        self.depth = 0
        """How many requests wait, over all lanes."""

    def __len__(self) -> int:
        """Return how many lanes there are."""
        return len(self._lanes)

    async def ask(
        self, requests: Sequence[RequestT], deadline: float
    ) -> list[OutcomeT | Exception]:
        """Queue the requests in their order and wait for their outcomes.

        Those that have no chance to be decided before `deadline`, a time of the clock,
        are refused with Busy at once. A caller that is cancelled takes along what has
        not been begun.
        """
        if not requests:
            return []
        call: Call[OutcomeT] = Call(len(requests), deadline)
        for place, request in enumerate(requests):
            self._enter(request, call, place)
        try:
            await call.done
        except asyncio.CancelledError:
            self._abandon(call)
            raise
        return cast("list[OutcomeT | Exception]", call.answers)

    async def close(self, timeout: float) -> None:
        """Take no more, let the lanes run empty for `timeout` seconds, refuse who is left."""
        self._closed = True
        self._board()
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while self._trips and (left := end - loop.time()) > 0:
            await asyncio.wait(self._trips, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            self._board()
        self._over = True
        for lane in self._line.leave():
            self._dissolve(lane)
        if late := list(self._trips):
            for trip in late:
                trip.cancel()
            await asyncio.wait(late)

    def _enter(self, request: RequestT, call: Call[OutcomeT], place: int) -> None:
        event_id = self._event_of(request)
        lane = self._lanes.get(event_id)
        if self._closed or self._is_full(lane) or self._is_hopeless(lane, call.deadline):
            call.tell(place, Busy(metadata=RETRY_AFTER))
            return
        if lane is None:
            lane = self._lanes[event_id] = Lane(event_id)
        self._came += 1
        lane.queue.append(Waiter(request, event_id, self._came, call, place))
        self.depth += 1
        if len(lane.queue) == 1 and not lane.travels:
            self._join(lane)

    def _is_full(self, lane: Lane[RequestT, OutcomeT] | None) -> bool:
        waiting = len(lane.queue) if lane else 0
        return waiting >= self._limits.lane or self.depth >= self._limits.total

    def _is_hopeless(self, lane: Lane[RequestT, OutcomeT] | None, deadline: float) -> bool:
        """Tell whether, at the pace of late, `deadline` passes before a newcomer's turn."""
        limits, left = self._limits, deadline - self._clock()
        if self._pace.too_slow(self.depth // (limits.batch * limits.commits), left):
            return True
        return lane is not None and lane.pace.too_slow(len(lane.queue) // limits.batch, left)

    def _join(self, lane: Lane[RequestT, OutcomeT]) -> None:
        """Let a lane wait for its turn; whoever comes in the same moment boards with it."""
        lane.joined = self._clock()
        self._line.join(lane)
        if self._boarding is None:
            self._boarding = asyncio.get_running_loop().call_soon(self._board)

    def _board(self) -> None:
        """Send batches off while there is room and somebody waits."""
        if self._boarding:
            self._boarding.cancel()
            self._boarding = None
        while self._line and len(self._trips) < self._limits.commits:
            solos = sum(trip.solo for trip in self._trips.values())
            trip = self._line.next_trip(solo_allowed=solos < self._limits.solos)
            if trip is None:
                return
            self.depth -= len(trip.waiters)
            task = asyncio.create_task(self._travel(trip), context=_context_of(trip))
            self._trips[task] = trip
            task.add_done_callback(self._arrive)

    async def _travel(self, trip: Trip[RequestT, OutcomeT]) -> None:
        await self._serve(trip, trip.waiters)
        spent = self._clock() - trip.joined
        for pace in (self._pace, *(lane.pace for lane in trip.lanes)):
            pace.count(spent)

    def _arrive(self, task: asyncio.Task[None]) -> None:
        """Let the lanes of a trip wait again, or go; leave nobody of it waiting."""
        trip = self._trips.pop(task)
        if not task.cancelled():
            task.exception()  # seen: what its waiters are told is Busy
        back = {waiter for lane in trip.lanes if lane.alone for waiter in lane.queue}
        for waiter in trip.waiters:
            if waiter not in back:
                waiter.tell(Busy(metadata=RETRY_AFTER))
        for lane in trip.lanes:
            lane.travels = False
            if lane.queue and not self._over:
                self._join(lane)
            else:
                self._dissolve(lane)
        self._board()

    def _dissolve(self, lane: Lane[RequestT, OutcomeT]) -> None:
        """Forget a lane, and leave nobody in it waiting."""
        del self._lanes[lane.event_id]
        self.depth -= len(lane.queue)
        for waiter in lane.queue:
            waiter.tell(Busy(metadata=RETRY_AFTER))

    def _still_wanted(
        self, waiters: Sequence[Waiter[RequestT, OutcomeT]]
    ) -> list[Waiter[RequestT, OutcomeT]]:
        """Leave out whose caller has gone, refuse whose deadline has passed."""
        now = self._clock()
        for waiter in waiters:
            if now >= waiter.call.deadline:
                waiter.tell(Busy(metadata=RETRY_AFTER))
        return [waiter for waiter in waiters if waiter.is_wanted]

    async def _serve(
        self, trip: Trip[RequestT, OutcomeT], batch: Sequence[Waiter[RequestT, OutcomeT]]
    ) -> None:
        """Commit a batch, again if that may help; find who spoils it if not."""
        failure: Exception | None = None
        for pause in (0.0, *self._retry_seconds):
            if pause:
                await asyncio.sleep(pause)
            batch = self._still_wanted(batch)
            if not batch:
                return
            failure = await self._attempt(trip, batch)
            if failure is None:
                return
            if not self._is_transient(failure):
                break
        if failure is None:
            return
        if len(batch) == 1 or self._is_transient(failure):
            for waiter in batch:
                waiter.tell(failure)
        elif len(trip.lanes) > 1:
            self._part(trip, batch)
        else:
            half = len(batch) // 2
            await self._serve(trip, batch[:half])
            await self._serve(trip, batch[half:])

    async def _attempt(
        self, trip: Trip[RequestT, OutcomeT], batch: Sequence[Waiter[RequestT, OutcomeT]]
    ) -> Exception | None:
        """Commit once and tell the outcomes; return what went wrong."""
        self._observe(len(batch))
        trip.commits = True
        try:
            await self._tell_outcomes(trip, batch)
        except asyncio.CancelledError:
            if not trip.abandoned:
                raise  # else nobody is left to be told
        except Exception as failure:  # noqa: BLE001 - told to those whom it concerns
            return failure
        finally:
            trip.commits = False
        return None

    async def _tell_outcomes(
        self, trip: Trip[RequestT, OutcomeT], batch: Sequence[Waiter[RequestT, OutcomeT]]
    ) -> None:
        outcomes = await self._commit([waiter.request for waiter in batch])
        # All or none: an outcome too many or too few belongs to nobody.
        told = list(zip(batch, outcomes, strict=True))
        undecided = [waiter for waiter, outcome in told if outcome is None]
        if undecided and len(trip.lanes) == 1:
            raise ValueError("an event that travels alone has to be decided")
        for waiter, outcome in told:
            if outcome is not None:
                waiter.tell(outcome)
        self._part(trip, undecided)

    def _part(
        self, trip: Trip[RequestT, OutcomeT], waiters: Sequence[Waiter[RequestT, OutcomeT]]
    ) -> None:
        """Put these back at the head of their lanes, each of which travels alone from now."""
        lanes = {lane.event_id: lane for lane in trip.lanes}
        for event_id, group in groupby(waiters, lambda waiter: waiter.event_id):
            back = list(group)
            lanes[event_id].put_back(back)
            self.depth += len(back)

    def _abandon(self, call: Call[OutcomeT]) -> None:
        """Forget a caller, and end a commit that all of its callers have left."""
        call.gone = True
        for task, trip in self._trips.items():
            if trip.commits and not trip.is_wanted:
                trip.abandoned = True
                task.cancel()


def _context_of(trip: Trip[RequestT, OutcomeT]) -> contextvars.Context:
    """Return what a trip runs in: alone, a request keeps its own trace and names in the log.

    A trip that serves many belongs to none of them.
    """
    alone = len(trip.waiters) == 1
    return trip.waiters[0].call.context.copy() if alone else contextvars.Context()
