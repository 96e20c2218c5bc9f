"""Sends the bookings that arrive while calls are in flight together, in one call.

- An idle gateway sends a request at once; a busy one sends the waiting requests when a call
  completes. There are no timers.
- A further call for an event is sent while one is in flight if enough requests wait and it
  can complete in time. So booking has the next batch at hand when it commits one.
- An event with many waiting requests gets calls of its own, so that it delays no other event.
  Events with few waiting requests share a call.
- A call contains only requests that can wait for its answer. The others are rejected as busy,
  at submission or when the call is sent: a call that times out half-way wastes its work.
- A request whose client has disconnected while it waited is not sent.
- Rate limits are charged when a batch is sent, with one call for all its requests. A request
  that a limit refuses is not sent.
"""

import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import grpc
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.batching import Batcher, BatchingLimits, Entry, InFlightBatch, Rejection
from goticket_platform.logs import get_logger
from goticket_platform.rpc.client import WRITE_SECONDS
from goticket_platform.rpc.errors import RemoteError
from prometheus_client import Counter, Gauge, Histogram

from gateway.booking_submission.submitter import (
    AdmitMany,
    IsDisconnected,
    Outcome,
    SendMany,
    SendOne,
)
from gateway.http.problems import Problem
from gateway.http.request_context import RequestContext, batch_context
from gateway.rate_limits.charged_request import ChargedRequest

LIMITS = BatchingLimits(
    max_batch_size=256,
    max_waiting=8_192,
    # About a second's worth at full speed. At lower speeds the deadline is the bound.
    max_waiting_per_key=4_096,
    max_in_flight=6,
    max_in_flight_per_key=3,
    solo_threshold=8,
    pipeline_threshold=32,
    stall_timeout=0.5,
    reserve=2.0,
)
"""The key of a request is its event."""
LIVENESS_CHECK_AFTER = 0.1
"""Seconds of waiting after which the gateway checks that the client is still connected."""

BATCH_SIZE = Histogram(
    "goticket_gateway_batch_size",
    "Requests sent in one call",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
QUEUE_DEPTH = Gauge("goticket_gateway_batch_queue_depth", "Requests that wait for a call")
REJECTED = Counter("goticket_gateway_batch_rejected", "Requests that were not sent", ["reason"])

logger = get_logger(__name__)


@dataclass(slots=True, eq=False)
class _PendingRequest:
    """A request with what the gateway knows of its caller; `submitted_at` by the clock."""

    request: pb.CreateBookingRequest
    context: RequestContext
    is_disconnected: IsDisconnected | None
    charged: ChargedRequest | None
    submitted_at: float


_Entry = Entry[str, _PendingRequest, pb.CreateBookingResponse]
_Batch = InFlightBatch[str, _PendingRequest, pb.CreateBookingResponse]


class BatchedSubmitter:
    """Sends bookings in batches; `clock` returns monotonic seconds.

    A request is answered within `deadline` seconds or rejected.
    """

    def __init__(
        self,
        send_one: SendOne,
        send_many: SendMany,
        limits: BatchingLimits = LIMITS,
        deadline: float = WRITE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        admit: AdmitMany | None = None,
    ) -> None:
        self._send_one = send_one
        self._admit = admit
        self._send_many = send_many
        self._deadline = deadline
        self._clock = clock
        self._batcher: Batcher[str, _PendingRequest, pb.CreateBookingResponse] = Batcher(
            self._execute,
            key_of=attrgetter("request.event_id"),
            error_for=_error_for,
            limits=limits,
            clock=clock,
            on_dispatch=BATCH_SIZE.observe,
        )

    @property
    def waiting(self) -> int:
        """How many requests wait for a call."""
        return self._batcher.waiting

    @property
    def queues(self) -> int:
        """How many events have requests that wait or are in flight."""
        return len(self._batcher)

    def rejection_reason(self, event_id: str) -> str | None:
        """See `BookingSubmitter`: "full", "late" or "closed"."""
        return self._batcher.rejection_reason(event_id, self._clock() + self._deadline)

    def submit(
        self,
        request: pb.CreateBookingRequest,
        context: RequestContext,
        is_disconnected: IsDisconnected | None = None,
        charged: ChargedRequest | None = None,
    ) -> Coroutine[Any, Any, pb.CreateBookingResponse]:
        """See `BookingSubmitter`. The request is submitted when the coroutine is awaited."""
        now = self._clock()
        pending = _PendingRequest(request, context, is_disconnected, charged, now)
        return self._batcher.submit(pending, now + self._deadline)

    async def close(self) -> None:
        """Cancel the calls in flight; waiting requests fail as unavailable."""
        await self._batcher.close()

    async def _execute(self, batch: _Batch) -> None:
        now = self._clock()
        entries = [entry for entry in batch.entries if _is_wanted(entry, now)]
        if not entries:
            return
        try:
            entries = await self._admitted(entries)
            outcomes = await self._send(entries) if entries else []
        except RemoteError as error:
            outcomes = [error.copy() for _ in entries]
        except Exception as error:
            logger.exception("sending bookings failed", error=type(error).__name__)
            outcomes = [_internal() for _ in entries]
        for entry, outcome in zip(entries, outcomes, strict=True):
            entry.resolve(outcome)

    async def _admitted(self, entries: list[_Entry]) -> list[_Entry]:
        """Charge the rate limits; return the entries to send, and refuse the others."""
        if self._admit is None:
            return entries
        counted = [entry for entry in entries if entry.request.charged is not None]
        if not counted:
            return entries
        problems = await self._admit([each for entry in counted if (each := entry.request.charged)])
        for entry, problem in zip(counted, problems, strict=True):
            if problem is not None:
                entry.resolve(problem)
        return [entry for entry in entries if entry.is_pending]

    async def _send(self, entries: Sequence[_Entry]) -> Sequence[Outcome]:
        timeout = max(min(entry.deadline for entry in entries) - self._clock(), 0)
        # A single request keeps its own trace; a batch has links to the traces of all.
        if len(entries) == 1:
            pending = entries[0].request
            pending.context.enter()
            return [await self._send_one(pending.request, timeout)]
        contexts = [entry.request.context for entry in entries]
        with batch_context("batched bookings", contexts):
            outcomes = await self._send_many([entry.request.request for entry in entries], timeout)
        if len(outcomes) != len(entries):
            raise ValueError(f"{len(outcomes)} outcomes for {len(entries)} requests")
        return [item.copy() if isinstance(item, RemoteError) else item for item in outcomes]


def _is_wanted(entry: _Entry, now: float) -> bool:
    if not entry.is_pending:
        return False
    pending = entry.request
    if pending.is_disconnected is None or now - pending.submitted_at <= LIVENESS_CHECK_AFTER:
        return True
    if pending.is_disconnected():
        REJECTED.labels("disconnected").inc()
        entry.resolve(Problem("busy"))  # the client does not read it
        return False
    return True


def _error_for(reason: Rejection) -> Exception:
    if reason in (Rejection.FULL, Rejection.LATE):
        REJECTED.labels(reason.value).inc()
        return Problem("busy")
    return RemoteError(grpc.StatusCode.UNAVAILABLE, "unavailable", "The call was cancelled.")


def _internal() -> RemoteError:
    return RemoteError(grpc.StatusCode.INTERNAL, "internal", "The batch failed.")
