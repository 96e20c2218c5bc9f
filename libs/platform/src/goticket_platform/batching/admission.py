"""Decides whether a new request may wait."""

from collections.abc import Callable
from typing import Any, TypeAlias

from goticket_platform.batching.latency import LatencyEstimator
from goticket_platform.batching.limits import BatchingLimits, Rejection
from goticket_platform.batching.queues import KeyQueue

AnyQueue: TypeAlias = KeyQueue[Any, Any, Any]


class Admission:
    """Rejects requests that find no room or would be late; `latency` is the one of all keys."""

    __slots__ = ("_clock", "_latency", "_limits", "is_closed")

    def __init__(
        self, limits: BatchingLimits, clock: Callable[[], float], latency: LatencyEstimator
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._latency = latency
        self.is_closed = False

    def rejection_reason(
        self, queue: AnyQueue | None, deadline: float, waiting: int, in_flight: int
    ) -> Rejection | None:
        """Return the reason to reject a request of this queue now; None if it may wait.

        `queue` is None for an idle key, `waiting` counts requests and `in_flight` batches of
        all keys. A request of an idle key is admitted while a batch may be dispatched.
        """
        limits = self._limits
        if self.is_closed:
            return Rejection.CLOSED
        if queue is None and in_flight < limits.max_in_flight:
            return None
        of_key = len(queue.entries) if queue else 0
        if of_key >= limits.max_waiting_per_key or waiting >= limits.max_waiting:
            return Rejection.FULL
        return Rejection.LATE if self._would_be_late(queue, deadline, waiting) else None

    def _would_be_late(self, queue: AnyQueue | None, deadline: float, waiting: int) -> bool:
        """Return whether the estimate for the key or the one for all keys exceeds the deadline."""
        limits, of_key = self._limits, len(queue.entries) if queue else 0
        least = limits.min_waiting_for_estimate
        latency = queue.latency if queue and of_key >= least else None
        latency_of_all = self._latency if waiting >= least * limits.max_in_flight else None
        if not latency and not latency_of_all:
            return False
        now, size = self._clock(), limits.max_batch_size
        time_left = deadline - now - (limits.reserve or 0.0)
        if latency and latency.would_exceed_deadline(now, of_key, size, time_left):
            return True
        return latency_of_all is not None and latency_of_all.would_exceed_deadline(
            now, waiting, size, time_left
        )
