"""One byte budget for all in-process caches of a process.

The caches share one order of use. When an entry would exceed the budget, the least recently
used entries of any cache are evicted. So the memory of a process is bounded however many
different requests its clients send. An entry is removed within SWEEP_SECONDS of its expiry,
also if no request reads it again.
"""

import asyncio
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from prometheus_client import Counter, Gauge

ValueT = TypeVar("ValueT")

SWEEP_SECONDS = 1
"""Time between two removals of expired entries."""
ENTRY_BYTES = 768
"""Memory of an entry beside its key and its value: the entry, its slot, and its places in the
dictionaries of its cache and of the budget. Measured with tracemalloc; a test compares."""

USED = Gauge("goticket_cache_bytes", "Memory that the entries of all caches use, in bytes")
LIMIT = Gauge("goticket_cache_limit_bytes", "Memory that the entries of all caches may use")
EVICTIONS = Counter(
    "goticket_cache_evictions",
    "Entries evicted before they expired, to stay within the budget",
    ["cache"],
)


@dataclass(frozen=True, slots=True)
class Entry(Generic[ValueT]):
    """A cached value; times in seconds of the cache's clock."""

    value: ValueT
    loaded_at: float
    """When its loading began: the value is at least as new as this."""
    expires_at: float


class Slot:
    """The place of an entry in the budget; it equals only itself."""

    __slots__ = ("entry", "evict", "key", "size")

    def __init__(
        self, key: str, entry: Entry[Any], size: int, evict: Callable[["Slot"], None]
    ) -> None:
        self.key = key
        self.entry = entry
        self.size = size
        self.evict = evict
        """Removes the slot from its cache, because of its age or of the budget."""


class CacheBudget:
    """The memory of all caches; `clock` returns monotonic seconds."""

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_bytes = max_bytes
        self.clock = clock
        self.bytes_used = 0
        """Size of all entries and reservations."""
        self._reserved = 0
        self._slots: OrderedDict[Slot, None] = OrderedDict()
        self._expiring: dict[int, set[Slot]] = {}
        """Slots by the second in which they are removed."""
        self.touch = self._slots.move_to_end
        """Marks a slot as the most recently used one."""

    def reserve(self, size: int) -> None:
        """Take bytes for a cache that has a bound of its own, such as an `lru_cache`.

        Raises:
            ValueError: the budget has not that much left.
        """
        if self.bytes_used + size > self.max_bytes:
            raise ValueError(f"the caches need more than {self.max_bytes} bytes")
        self.bytes_used += size
        self._reserved += size

    def add(self, slot: Slot) -> bool:
        """Add a slot, and evict others until it fits; return False when it cannot fit."""
        if slot.size > self.max_bytes - self._reserved:
            return False
        while self.bytes_used + slot.size > self.max_bytes:
            oldest = next(iter(self._slots))
            oldest.evict(oldest)
        self.bytes_used += slot.size
        self._slots[slot] = None
        self._expiring.setdefault(_second_of(slot), set()).add(slot)
        return True

    def remove(self, slot: Slot) -> None:
        """Remove a slot that was added."""
        del self._slots[slot]
        self.bytes_used -= slot.size
        second = _second_of(slot)
        slots = self._expiring[second]
        slots.discard(slot)
        if not slots:
            del self._expiring[second]

    def remove_expired(self) -> None:
        """Remove every entry that expired before this second."""
        now = int(self.clock())
        for second in [second for second in self._expiring if second <= now]:
            for slot in tuple(self._expiring[second]):
                slot.evict(slot)

    async def remove_expired_regularly(self) -> None:
        """Remove expired entries until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.remove_expired()

    def export_metrics(self) -> None:
        """Let the gauges of this process report this budget."""
        USED.set_function(lambda: self.bytes_used)
        LIMIT.set(self.max_bytes)


def size_of_text(text: str | bytes) -> int:
    """Return the memory of a text."""
    return sys.getsizeof(text)


def _second_of(slot: Slot) -> int:
    return int(slot.entry.expires_at) + 1
