"""A cache of values with a lifetime."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from goticket_platform.caching.budget import (
    ENTRY_BYTES,
    EVICTIONS,
    CacheBudget,
    Entry,
    Slot,
    size_of_text,
)

ValueT = TypeVar("ValueT")


class TTLCache(Generic[ValueT]):
    """In-process cache with single flight, called `name` in metrics.

    Entries live until they expire, are deleted, or are evicted to keep the budget. `size_of`
    returns the memory of a value in bytes.
    """

    def __init__(self, budget: CacheBudget, name: str, *, size_of: Callable[[ValueT], int]) -> None:
        self._budget = budget
        self._clock = budget.clock
        self._size_of = size_of
        self._slots: dict[str, Slot] = {}
        self._loads: dict[str, asyncio.Task[Entry[ValueT]]] = {}
        self._evictions = EVICTIONS.labels(name)

    def __len__(self) -> int:
        """Return the number of entries, also expired ones that were not removed yet."""
        return len(self._slots)

    def get(self, key: str) -> Entry[ValueT] | None:
        """Return the entry that has not expired, if there is one."""
        slot = self._slots.get(key)
        if slot is None:
            return None
        entry: Entry[ValueT] = slot.entry
        if entry.expires_at <= self._clock():
            self._remove(slot)
            return None
        self._budget.touch(slot)
        return entry

    def put(self, key: str, entry: Entry[ValueT]) -> None:
        """Store an entry unless it has expired or is larger than the whole budget."""
        if (old := self._slots.get(key)) is not None:
            self._remove(old)
        if entry.expires_at <= self._clock():
            return
        size = ENTRY_BYTES + size_of_text(key) + self._size_of(entry.value)
        slot = Slot(key, entry, size, self._evict)
        if self._budget.add(slot):
            self._slots[key] = slot
        else:
            self._evictions.inc()

    async def get_or_load(
        self, key: str, load: Callable[[], Awaitable[Entry[ValueT]]]
    ) -> Entry[ValueT]:
        """Return the entry; a missing one is loaded once for all who wait.

        Raises:
            Exception: what `load` raised, to all who wait.
        """
        if entry := self.get(key):
            return entry
        running = self._loads.get(key)
        if running is None:
            running = self._loads[key] = asyncio.create_task(self._load(key, load))
        # Shielded: a caller that is cancelled must not end the load of the others.
        return await asyncio.shield(running)

    def delete(self, key: str) -> None:
        """Delete an entry. A load in progress is answered to its callers but not stored."""
        if (slot := self._slots.get(key)) is not None:
            self._remove(slot)
        self._loads.pop(key, None)

    def clear(self) -> None:
        """Delete all entries; see `delete`."""
        for slot in tuple(self._slots.values()):
            self._remove(slot)
        self._loads.clear()

    async def _load(self, key: str, load: Callable[[], Awaitable[Entry[ValueT]]]) -> Entry[ValueT]:
        task = asyncio.current_task()
        try:
            entry = await load()
            if self._loads.get(key) is task:
                self.put(key, entry)
            return entry
        finally:
            if self._loads.get(key) is task:
                del self._loads[key]

    def _evict(self, slot: Slot) -> None:
        if slot.entry.expires_at > self._clock():
            self._evictions.inc()
        self._remove(slot)

    def _remove(self, slot: Slot) -> None:
        del self._slots[slot.key]
        self._budget.remove(slot)
