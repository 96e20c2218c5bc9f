"""The queue of each key, and the queue of those that may be dispatched."""

import heapq
from collections import OrderedDict
from typing import Generic

from goticket_platform.batching.entries import Entry, KeyT, OutcomeT, RequestT
from goticket_platform.batching.latency import LatencyEstimator


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
