"""Bookings that arrive while calls are in flight leave together: one RPC for a crowd.

No timers: an idle gateway sends at once, a busy one sends what has gathered as soon
as a call comes back. The rules:

- At most `flights` calls at once, and at most one with requests of the same event. So
  the requests of an event are decided in the order in which they came, and a slow event
  keeps one call, never the others.
- Who came first leaves first. An event with a crowd travels alone, because its slowness
  must hold nobody else; small parties share a call, because each is too small to pay one.
- What waits is bounded, for all and for each event. Who would not be answered in time is
  refused at once, and nobody is answered later than `deadline` seconds.
- Who has gone away while waiting is not sent.
"""

import asyncio
import contextvars
import functools
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

from gateway.problems import Problem

Outcome = pb.CreateBookingResponse | RemoteError
SendOne = Callable[[pb.CreateBookingRequest, float], Awaitable[pb.CreateBookingResponse]]
SendMany = Callable[[Sequence[pb.CreateBookingRequest], float], Awaitable[Sequence[Outcome]]]
HasGone = Callable[[], Awaitable[bool]]

BATCH_SIZE = Histogram(
    "goticket_gateway_coalescer_batch_size",
    "Requests that left in one call",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
QUEUE_DEPTH = Gauge("goticket_gateway_coalescer_queue_depth", "Requests that wait for a call")
REFUSED = Counter("goticket_gateway_coalescer_refused", "Requests that were not sent", ["reason"])

logger = get_logger(__name__)


@dataclass(frozen=True)
class Limits:
    """Bounds of a coalescer; times in seconds."""

    waiting: int = 4096
    """Requests of all events that may wait."""
    waiting_per_event: int = 2048
    """Requests of one event that may wait, so that a crowd leaves room for other events."""
    batch: int = 256
    flights: int = 4
    crowd: int = 8
    """So many waiting requests of one event travel without others."""
    deadline: float = WRITE_SECONDS
    """From the arrival of a request to its answer."""
    reserve: float = 1.0
    """What has to be left of the deadline when a call leaves."""
    look_after: float = 0.1
    """Who waited that long is asked whether they are still there."""


@dataclass(eq=False, slots=True)
class _Waiter:
    request: pb.CreateBookingRequest
    arrived: float
    answer: asyncio.Future[pb.CreateBookingResponse]
    has_gone: HasGone | None
    context: contextvars.Context


@dataclass(eq=False, slots=True)
class _Party:
    """What waits of one event, by number of arrival, and whether a call is out for it."""

    event_id: str
    waiting: OrderedDict[int, _Waiter] = field(default_factory=OrderedDict)
    listed: bool = False
    departed: float | None = None
    pace: float = 0.0
    """Seconds that a call takes, smoothed."""

    def expected_wait(self, now: float, ahead: float) -> float:
        """Return the seconds until an answer when `ahead` full calls go first."""
        in_flight = 0.0 if self.departed is None else now - self.departed
        return (1 + ahead) * max(self.pace, in_flight)


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
        self._in_flight = 0
        self._flights: set[asyncio.Task[None]] = set()

    async def submit(
        self, request: pb.CreateBookingRequest, has_gone: HasGone | None = None
    ) -> pb.CreateBookingResponse:
        """Send the request, with others or alone, and return its own answer.

        Cancelling takes it back unless it has left with others. `has_gone` tells
        whether the caller has hung up.

        Raises:
            Problem: busy, when it would not be answered in time.
            RemoteError: booking refused it, or its call failed.
        """
        party = self._parties.get(request.event_id)
        if party is None:
            party = self._parties[request.event_id] = _Party(request.event_id)
        if party.departed is None and not party.waiting and self._in_flight < self._limits.flights:
            return await self._alone(party, request)
        if excess := self._excess(party):
            self._forget_idle(party)
            REFUSED.labels(excess).inc()
            raise Problem("busy")
        answer: asyncio.Future[pb.CreateBookingResponse]
        answer = asyncio.get_running_loop().create_future()
        waiter = _Waiter(request, self._clock(), answer, has_gone, contextvars.copy_context())
        self._arrivals += 1
        number = self._arrivals
        party.waiting[number] = waiter
        self._count(1)
        self._list(party)
        try:
            return await answer
        finally:
            if party.waiting.pop(number, None):
                self._count(-1)

    async def aclose(self) -> None:
        """End the calls that are out; who waits is told that booking is unavailable."""
        for party in self._parties.values():
            for waiter in party.waiting.values():
                _fail(waiter, _unavailable())
        flights = list(self._flights)
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _excess(self, party: _Party) -> str | None:
        """Tell why one more of this party cannot wait, None when it can."""
        limits = self._limits
        if self._waiting >= limits.waiting or len(party.waiting) >= limits.waiting_per_event:
            return "full"
        ahead = max(
            len(party.waiting) // limits.batch, self._waiting // (limits.batch * limits.flights)
        )
        if party.expected_wait(self._clock(), ahead) > limits.deadline - limits.reserve:
            return "late"
        return None

    async def _alone(
        self, party: _Party, request: pb.CreateBookingRequest
    ) -> pb.CreateBookingResponse:
        # In the caller's own task: nothing to wake, and its cancellation ends the call.
        self._depart([party], 1)
        try:
            return await self._send_one(request, self._limits.deadline)
        finally:
            self._land([party])

    def _list(self, party: _Party) -> None:
        """Put a party that may leave in line, by its first arrival."""
        if party.waiting and party.departed is None and not party.listed:
            party.listed = True
            heapq.heappush(self._ready, (next(iter(party.waiting)), party))

    def _depart(self, parties: Sequence[_Party], size: int) -> None:
        self._in_flight += 1
        BATCH_SIZE.observe(size)
        now = self._clock()
        for party in parties:
            party.departed = now

    def _land(self, parties: Sequence[_Party]) -> None:
        self._in_flight -= 1
        now = self._clock()
        for party in parties:
            took = now - (now if party.departed is None else party.departed)
            party.pace = (party.pace + took) / 2 if party.pace else took
            party.departed = None
            self._list(party)
            self._forget_idle(party)
        self._send_ready()

    def _forget_idle(self, party: _Party) -> None:
        idle = not party.waiting and not party.listed and party.departed is None
        if idle and self._parties.get(party.event_id) is party:
            del self._parties[party.event_id]

    def _send_ready(self) -> None:
        while self._in_flight < self._limits.flights and self._ready:
            parties, batch = self._board()
            if not batch:
                continue
            self._depart(parties, len(batch))
            # One request flies in its own trace; a batch in none of them, linked to all.
            context = batch[0].context if len(batch) == 1 else contextvars.Context()
            flight = asyncio.get_running_loop().create_task(self._carry(batch), context=context)
            self._flights.add(flight)
            # Not a `finally` of the task: one that is cancelled before its start has none.
            flight.add_done_callback(functools.partial(self._end_flight, parties, batch))

    def _board(self) -> tuple[list[_Party], list[_Waiter]]:
        """Take the requests of the next call off the queue."""
        limits = self._limits
        parties: list[_Party] = []
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
            if taken := self._take(party, limits.batch - len(batch)):
                parties.append(party)
                batch += taken
            else:
                self._forget_idle(party)
            if crowded:
                break
        for entry in crowds:
            heapq.heappush(self._ready, entry)
        return parties, batch

    def _take(self, party: _Party, places: int) -> list[_Waiter]:
        """Take at most `places` of a party; refuse those that are too late to be sent."""
        latest = self._clock() + self._limits.reserve - self._limits.deadline
        taken: list[_Waiter] = []
        while party.waiting and len(taken) < places:
            _, waiter = party.waiting.popitem(last=False)
            self._count(-1)
            if waiter.answer.done():
                continue
            if waiter.arrived < latest:
                REFUSED.labels("late").inc()
                _fail(waiter, Problem("busy"))
                continue
            taken.append(waiter)
        return taken

    def _end_flight(
        self, parties: Sequence[_Party], batch: Sequence[_Waiter], flight: asyncio.Task[None]
    ) -> None:
        self._flights.discard(flight)
        for waiter in batch:
            _fail(waiter, _unavailable())
        self._land(parties)

    async def _carry(self, batch: Sequence[_Waiter]) -> None:
        there = [waiter for waiter in batch if await self._is_there(waiter)]
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

    async def _is_there(self, waiter: _Waiter) -> bool:
        if waiter.answer.done():
            return False
        waited = self._clock() - waiter.arrived
        if waiter.has_gone and waited > self._limits.look_after and await waiter.has_gone():
            REFUSED.labels("gone").inc()
            _fail(waiter, Problem("busy"))  # nobody reads it
            return False
        return True

    async def _send(self, batch: Sequence[_Waiter]) -> Sequence[Outcome]:
        oldest = min(waiter.arrived for waiter in batch)
        timeout = max(self._limits.deadline - (self._clock() - oldest), 0)
        if len(batch) == 1:
            return [await self._send_one(batch[0].request, timeout)]
        with tracer.start_as_current_span("coalesced bookings", links=_links(batch)):
            _name_batch(batch)
            outcomes = await self._send_many([waiter.request for waiter in batch], timeout)
        if len(outcomes) != len(batch):
            raise ValueError(f"{len(outcomes)} outcomes for {len(batch)} requests")
        return [_again(item) if isinstance(item, RemoteError) else item for item in outcomes]

    def _count(self, change: int) -> None:
        self._waiting += change
        QUEUE_DEPTH.set(self._waiting)


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
    callers = [waiter.context.run(trace.get_current_span).get_span_context() for waiter in batch]
    return [trace.Link(caller) for caller in callers if caller.trace_flags.sampled]


def _name_batch(batch: Sequence[_Waiter]) -> None:
    """Give the call a request id of its own, and log which requests travel under it."""
    contexts = [waiter.context.run(structlog.contextvars.get_contextvars) for waiter in batch]
    structlog.contextvars.bind_contextvars(request_id=str(new_id()))
    logger.info("bookings sent", requests=[found.get("request_id", "") for found in contexts])
