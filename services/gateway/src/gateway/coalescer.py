"""Bookings that arrive while calls are in flight leave together: one RPC for a crowd.

No timers: an idle gateway sends at once, a busy one sends what has gathered as soon
as a call comes back. The rules:

- At most `flights` calls at once, and of one event at most `flights_per_event`: a slow
  event keeps those, never the others. While one call of an event is out, the next leaves
  when a crowd has gathered, so that booking has the next batch at hand when it commits
  one; but not behind calls so slow that its passengers could not wait for both, unless
  nothing has come back for so long that the first may be lost. The rest leaves when a call
  comes back. The requests of an event leave in the order in which they came.
- Who came first leaves first. An event with a crowd travels alone, because its slowness
  must hold nobody else; small parties share a call, because each is too small to pay one.
- What waits is bounded, for all and for each event. Who would not be answered within
  `deadline` seconds is refused, at once or when the next call leaves: a call leaves with
  those only who can wait for its answer, because one that is given up half-way is work for
  nobody.
- Who has gone away while waiting is not sent.
"""

import asyncio
import contextvars
import heapq
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import grpc
import structlog
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.ids import new_id
from goticket_platform.logs import get_logger
from goticket_platform.rpc.client import WRITE_SECONDS
from goticket_platform.rpc.errors import RemoteError
from goticket_platform.telemetry import tracer
from opentelemetry import trace
from prometheus_client import Counter, Gauge, Histogram

from gateway.http.problems import Problem
from gateway.http.request_context import RequestContext
from gateway.pace import Pace

Outcome = pb.CreateBookingResponse | RemoteError
SendOne = Callable[[pb.CreateBookingRequest, float], Awaitable[pb.CreateBookingResponse]]
SendMany = Callable[[Sequence[pb.CreateBookingRequest], float], Awaitable[Sequence[Outcome]]]
HasGone = Callable[[], bool]

BATCH_SIZE = Histogram(
    "goticket_gateway_batch_size",
    "Requests that left in one call",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
QUEUE_DEPTH = Gauge("goticket_gateway_batch_queue_depth", "Requests that wait for a call")
REFUSED = Counter("goticket_gateway_batch_rejected", "Requests that were not sent", ["reason"])

logger = get_logger(__name__)


@dataclass(frozen=True)
class Limits:
    """Bounds of a coalescer; times in seconds."""

    waiting: int = 8192
    """Requests of all events that may wait."""
    waiting_per_event: int = 4096
    """Requests of one event that may wait, so that a crowd leaves room for other events: about
    a second's worth at full speed. At lower speeds the deadline is what bounds them."""
    batch: int = 256
    flights: int = 6
    flights_per_event: int = 3
    crowd: int = 8
    """So many waiting requests of one event travel without others."""
    gathered: int = 32
    """So many waiting requests of one event leave while a call of the event is out."""
    deadline: float = WRITE_SECONDS
    """From the arrival of a request to its answer."""
    reserve: float = 2.0
    """What has to be left of the deadline when a call leaves, at least."""
    lost: float = 0.5
    """When nothing of an event has come back for so long, a further call does not wait for it."""
    look_after: float = 0.1
    """Who waited that long is asked whether they are still there."""


@dataclass(eq=False, slots=True)
class _Waiter:
    request: pb.CreateBookingRequest
    arrived: float
    answer: asyncio.Future[pb.CreateBookingResponse]
    origin: RequestContext
    has_gone: HasGone | None
    flight: "_Flight | None" = None


@dataclass(eq=False, slots=True)
class _Party:
    """What waits of one event, by number of arrival."""

    event_id: str
    waiting: OrderedDict[int, _Waiter] = field(default_factory=OrderedDict)
    listed: bool = False
    pace: Pace = field(default_factory=Pace)

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.listed and not self.pace.out


@dataclass(eq=False, slots=True)
class _Flight:
    """One call: who is aboard, by event."""

    parties: Sequence[tuple[_Party, int]]
    batch: Sequence[_Waiter]
    task: asyncio.Task[None] | None = None


class Coalescer:
    """Carries CreateBooking requests to booking; `clock` returns monotonic seconds."""

    def __init__(
        self,
        send_one: SendOne,
        send_many: SendMany,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send_one = send_one
        self._send_many = send_many
        self._limits = limits or Limits()
        self._clock = clock
        self._parties: dict[str, _Party] = {}
        self._ready: list[tuple[int, _Party]] = []
        self._arrivals = 0
        self._waiting = 0
        self._pace = Pace()
        self._flights: set[_Flight] = set()
        self._boarding = False

    @property
    def waiting(self) -> int:
        """How many requests wait for a call."""
        return self._waiting

    def rejection_reason(self, event_id: str) -> str | None:
        """Tell why one more who wants this event is refused now; None while they can wait.

        "full": there is no room. "late": there is, but the answer would come too late.
        """
        limits = self._limits
        party = self._parties.get(event_id) or _Party(event_id)
        if party.idle and self._pace.out < limits.flights:
            return None
        waiting = len(party.waiting)
        if waiting >= limits.waiting_per_event or self._waiting >= limits.waiting:
            return "full"
        now = self._clock()
        expected = max(
            party.pace.expected_wait(now, waiting, limits.batch),
            self._pace.expected_wait(now, self._waiting, limits.batch),
        )
        return "late" if expected > limits.deadline - limits.reserve else None

    async def submit(
        self,
        request: pb.CreateBookingRequest,
        origin: RequestContext,
        has_gone: HasGone | None = None,
    ) -> pb.CreateBookingResponse:
        """Send the request, with others or alone, and return its own answer.

        Cancelling takes it back unless it has left with others. `has_gone` tells whether
        the caller has hung up.

        Raises:
            Problem: busy, when it would not be answered in time.
            RemoteError: booking refused it, or its call failed.
        """
        if excess := self.rejection_reason(request.event_id):
            REFUSED.labels(excess).inc()
            raise Problem("busy")
        party = self._parties.get(request.event_id)
        if party is None:
            party = self._parties[request.event_id] = _Party(request.event_id)
        waiter = _Waiter(
            request,
            self._clock(),
            asyncio.get_running_loop().create_future(),
            origin,
            has_gone,
        )
        self._arrivals += 1
        number = self._arrivals
        party.waiting[number] = waiter
        self._waiting += 1
        self._list(party)
        try:
            return await waiter.answer
        finally:
            if party.waiting.pop(number, None):
                self._waiting -= 1
            elif waiter.answer.cancelled():
                _abandon(waiter.flight)
            del waiter  # a refusal's traceback has this frame, and the waiter has the refusal

    async def aclose(self) -> None:
        """End the calls that are out; who waits is told that booking is unavailable."""
        for party in self._parties.values():
            for waiter in party.waiting.values():
                _fail(waiter, _unavailable())
        tasks = [flight.task for flight in self._flights if flight.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _list(self, party: _Party) -> None:
        """Put a party that may leave in line, by its first arrival."""
        limits = self._limits
        if party.waiting and not party.listed and self._may_leave(party):
            party.listed = True
            heapq.heappush(self._ready, (next(iter(party.waiting)), party))
        if self._ready and not self._boarding and self._pace.out < limits.flights:
            # Not at once: whoever has come in the same turn of the loop goes along.
            self._boarding = True
            asyncio.get_running_loop().call_soon(self._send_ready)

    def _may_leave(self, party: _Party) -> bool:
        limits, pace, now = self._limits, party.pace, self._clock()
        if not pace.out:
            return True
        if pace.out >= limits.flights_per_event or len(party.waiting) < limits.gathered:
            return False
        is_quick = pace.known and pace.expected_call(now) <= limits.reserve
        return is_quick or pace.stalled(now) >= limits.lost

    def _forget_idle(self, party: _Party) -> None:
        if party.idle and self._parties.get(party.event_id) is party:
            del self._parties[party.event_id]

    def _send_ready(self) -> None:
        self._boarding = False
        while self._pace.out < self._limits.flights and self._ready:
            flight = self._board()
            if flight.batch:
                self._depart(flight)

    def _depart(self, flight: _Flight) -> None:
        size, now = len(flight.batch), self._clock()
        BATCH_SIZE.observe(size)
        self._pace.depart(now, size)
        for waiter in flight.batch:
            waiter.flight = flight
        for party, taken in flight.parties:
            party.pace.depart(now, taken)
            self._list(party)
        flight.task = asyncio.get_running_loop().create_task(
            self._carry(flight.batch), context=contextvars.Context()
        )
        self._flights.add(flight)
        # Not a `finally` of the task: one that is cancelled before its start has none.
        flight.task.add_done_callback(lambda _: self._land(flight))

    def _land(self, flight: _Flight) -> None:
        self._flights.discard(flight)
        for waiter in flight.batch:
            waiter.flight = None  # two that know each other wait for the garbage collector
            _fail(waiter, _unavailable())
        now = self._clock()
        self._pace.land(now, len(flight.batch))
        for party, taken in flight.parties:
            party.pace.land(now, taken)
            self._list(party)
            self._forget_idle(party)

    def _board(self) -> _Flight:
        """Take the requests of the next call off the queue."""
        limits = self._limits
        parties: list[tuple[_Party, int]] = []
        batch: list[_Waiter] = []
        crowds: list[tuple[int, _Party]] = []
        while self._ready and len(batch) < limits.batch:
            entry = heapq.heappop(self._ready)
            party = entry[1]
            crowded = len(party.waiting) >= limits.crowd
            if crowded and batch:
                crowds.append(entry)
                continue
            party.listed = False
            if party.waiting and not self._may_leave(party):
                continue  # any more: the call that lands lists it again
            if taken := self._take(party, limits.batch - len(batch)):
                parties.append((party, len(taken)))
                batch += taken
            else:
                self._forget_idle(party)
            if crowded:
                break
        for entry in crowds:
            heapq.heappush(self._ready, entry)
        return _Flight(parties, batch)

    def _take(self, party: _Party, places: int) -> list[_Waiter]:
        """Take at most `places` of a party; refuse those that are too late to be sent."""
        now, limits = self._clock(), self._limits
        takes = max(limits.reserve, party.pace.expected_call(now))
        latest = now + takes - limits.deadline
        taken: list[_Waiter] = []
        while party.waiting and len(taken) < places:
            _, waiter = party.waiting.popitem(last=False)
            self._waiting -= 1
            if waiter.answer.done():
                continue
            if waiter.arrived < latest:
                REFUSED.labels("late").inc()
                _fail(waiter, Problem("busy"))
                continue
            taken.append(waiter)
        return taken

    async def _carry(self, batch: Sequence[_Waiter]) -> None:
        there = [waiter for waiter in batch if self._is_there(waiter)]
        if not there:
            return
        try:
            outcomes = await self._send(there)
        except RemoteError as error:
            outcomes = [_again(error) for _ in there]
        except Exception as error:
            logger.exception("bookings not sent", error=type(error).__name__)
            outcomes = [_internal() for _ in there]
        for waiter, outcome in zip(there, outcomes, strict=True):
            if isinstance(outcome, RemoteError):
                _fail(waiter, outcome)
            elif not waiter.answer.done():
                waiter.answer.set_result(outcome)

    def _is_there(self, waiter: _Waiter) -> bool:
        if waiter.answer.done():
            return False
        waited = self._clock() - waiter.arrived
        if waiter.has_gone and waited > self._limits.look_after and waiter.has_gone():
            REFUSED.labels("gone").inc()
            _fail(waiter, Problem("busy"))  # nobody reads it
            return False
        return True

    async def _send(self, batch: Sequence[_Waiter]) -> Sequence[Outcome]:
        oldest = min(waiter.arrived for waiter in batch)
        timeout = max(self._limits.deadline - (self._clock() - oldest), 0)
        # One request flies in its own trace; a batch in none of them, linked to all.
        if len(batch) == 1:
            batch[0].origin.enter()
            return [await self._send_one(batch[0].request, timeout)]
        with tracer.start_as_current_span("coalesced bookings", links=_links(batch)):
            _name_batch(batch)
            outcomes = await self._send_many([waiter.request for waiter in batch], timeout)
        if len(outcomes) != len(batch):
            raise ValueError(f"{len(outcomes)} outcomes for {len(batch)} requests")
        return [_again(item) if isinstance(item, RemoteError) else item for item in outcomes]


def _abandon(flight: _Flight | None) -> None:
    """End a call that nobody waits for any more."""
    if flight and flight.task and all(waiter.answer.done() for waiter in flight.batch):
        flight.task.cancel()


def _fail(waiter: _Waiter, error: Exception) -> None:
    if not waiter.answer.done():
        waiter.answer.set_exception(error)


def _again(error: RemoteError) -> RemoteError:
    """Return an equal error: one that several tasks raise would gather all their tracebacks."""
    return RemoteError(error.status, error.code, error.message, error.fields, error.metadata)


def _internal() -> RemoteError:
    return RemoteError(grpc.StatusCode.INTERNAL, "internal", "The batch failed.")


def _unavailable() -> RemoteError:
    return RemoteError(grpc.StatusCode.UNAVAILABLE, "unavailable", "The call was given up.")


def _links(batch: Sequence[_Waiter]) -> list[trace.Link]:
    callers = [waiter.origin.span.get_span_context() for waiter in batch]
    return [trace.Link(caller) for caller in callers if caller.trace_flags.sampled]


def _name_batch(batch: Sequence[_Waiter]) -> None:
    """Give the call a request id of its own, and log which requests travel under it."""
    structlog.contextvars.bind_contextvars(request_id=str(new_id()))
    logger.info("bookings sent", requests=[waiter.origin.request_id for waiter in batch])
