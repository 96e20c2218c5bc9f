"""The queue of each key, and the queue of those that may be dispatched."""

import heapq
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic

from goticket_platform.batching.entries import Entry, KeyT, OutcomeT, RequestT
from goticket_platform.batching.latency import LatencyEstimator
from goticket_platform.batching.limits import BatchingLimits


class KeyQueue(Generic[KeyT, RequestT, OutcomeT]):
    """The waiting requests of one key, by number of arrival."""

    __slots__ = ("entries", "is_isolated", "is_ready", "key", "latency")

    def __init__(self, key: KeyT) -> None:
        self.key = key
        self.entries: OrderedDict[int, Entry[KeyT, RequestT, OutcomeT]] = OrderedDict()
        self.is_ready = False
        """Whether it is in the ready queue."""
        self.is_isolated = False
        """Whether its next batch must be a solo batch."""
        self.latency = LatencyEstimator()

    @property
    def is_idle(self) -> bool:
        """Whether none of its requests waits or is in flight."""
        return not self.entries and not self.is_ready and not self.latency.in_flight

    def may_dispatch(self, limits: BatchingLimits, clock: Callable[[], float]) -> bool:
        """Return whether a batch of this key may be dispatched now.

        While one is in flight, a further one has to have a minimum size and has to be expected
        to complete in time behind it. After the stall timeout the first may be lost.
        """
        latency = self.latency
        if not latency.in_flight:
            return True
        if (
            latency.in_flight >= limits.max_in_flight_per_key
            or len(self.entries) < limits.pipeline_threshold
        ):
            return False
        now = clock()
        is_in_time = limits.reserve is None or latency.next_batch_time(now) <= limits.reserve
        return (latency.is_measured and is_in_time) or (
            latency.stall_time(now) >= limits.stall_timeout
        )

    def take(
        self, limits: BatchingLimits, now: float
    ) -> tuple[list[Entry[KeyT, RequestT, OutcomeT]], list[Entry[KeyT, RequestT, OutcomeT]]]:
        """Remove at most a batch from the head.

        Return it, and the removed requests that are too late or whose callers were cancelled.
        """
        least_deadline = float("-inf")
        if limits.reserve is not None:
            least_deadline = now + max(limits.reserve, self.latency.next_batch_time(now))
        taken: list[Entry[KeyT, RequestT, OutcomeT]] = []
        dropped: list[Entry[KeyT, RequestT, OutcomeT]] = []
        self.is_isolated = False
        while self.entries and len(taken) < limits.max_batch_size:
            _, entry = self.entries.popitem(last=False)
            if entry.future.done() or entry.deadline < least_deadline:
                dropped.append(entry)
            else:
                taken.append(entry)
        return taken, dropped

    def requeue(self, entry: Entry[KeyT, RequestT, OutcomeT]) -> None:
        """Put a request back at the head; the next batch of the key is a solo batch."""
        self.entries[entry.number] = entry
        self.entries.move_to_end(entry.number, last=False)
        self.is_isolated = True


class ReadyQueue(Generic[KeyT, RequestT, OutcomeT]):
    """The key queues that may be dispatched, the one with the oldest request first."""

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[int, KeyQueue[KeyT, RequestT, OutcomeT]]] = []

    def __len__(self) -> int:
        """Return how many key queues may be dispatched."""
        return len(self._heap)

    def push(self, queue: KeyQueue[KeyT, RequestT, OutcomeT]) -> None:
        """Add a queue in which a request waits."""
        queue.is_ready = True
        heapq.heappush(self._heap, (next(iter(queue.entries)), queue))

    def pop(self) -> KeyQueue[KeyT, RequestT, OutcomeT]:
        """Remove the first queue; it is empty if its callers were cancelled."""
        queue = heapq.heappop(self._heap)[1]
        queue.is_ready = False
        return queue
