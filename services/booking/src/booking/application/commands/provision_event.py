"""Fetches from the catalog an event that booking does not know, or has in an old version."""

import asyncio
import time
from collections.abc import Callable, Collection
from uuid import UUID

from booking.application.commands.apply_event import apply_event
from booking.application.ports import BookingStore, Catalog

_Fetched = dict[UUID, bool | BaseException]
"""Events that the catalog knows: True, or the error of storing one."""

MAX_EVENTS_PER_CALL = 100
"""The catalog accepts 200."""
COMPLETE_SECONDS = 1.0
"""For this long after a fetch that brought no wanted ticket type, no other one is expected."""


class ProvisionEvent:
    """Fetches events with single flight: concurrent requests for one event share one call.

    `clock` returns monotonic seconds.
    """

    def __init__(
        self,
        catalog: Catalog,
        bookings: BookingStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._bookings = bookings
        self._clock = clock
        self._in_flight: dict[UUID, asyncio.Task[_Fetched]] = {}
        self._complete_until: dict[UUID, float] = {}
        """In the order of the times."""

    def is_complete(self, event_id: UUID) -> bool:
        """Return whether a fetch a moment ago brought no wanted ticket type of the event."""
        return self._clock() < self._complete_until.get(event_id, 0.0)

    def record_complete(self, event_ids: Collection[UUID]) -> None:
        """Record that the catalog has no further ticket types of these events."""
        now = self._clock()
        for event_id in event_ids:
            self._complete_until.pop(event_id, None)
            self._complete_until[event_id] = now + COMPLETE_SECONDS
        while self._complete_until:
            oldest = next(iter(self._complete_until))
            if self._complete_until[oldest] > now:
                break
            del self._complete_until[oldest]

    async def __call__(self, event_id: UUID) -> bool:
        """Store the catalog's state of the event; return whether the catalog knows it.

        Raises:
            CatalogUnavailable: the catalog does not answer.
        """
        found = (await self.all([event_id]))[event_id]
        if isinstance(found, BaseException):
            raise found
        return found

    async def all(self, event_ids: Collection[UUID]) -> dict[UUID, bool | BaseException]:
        """Store the catalog's state of events; return for each whether the catalog knows it.

        Those that no other caller is fetching are fetched together. The result of an event
        that could not be fetched is the error.
        """
        new = [event_id for event_id in event_ids if event_id not in self._in_flight]
        for first in range(0, len(new), MAX_EVENTS_PER_CALL):
            self._start(new[first : first + MAX_EVENTS_PER_CALL])
        tasks = {event_id: self._in_flight[event_id] for event_id in event_ids}
        # Shielded: the deadline of one caller must not cancel the call for the others.
        waits = [asyncio.shield(task) for task in tasks.values()]
        results = await asyncio.gather(*waits, return_exceptions=True)
        return {
            event_id: result if isinstance(result, BaseException) else result.get(event_id, False)
            for event_id, result in zip(tasks, results, strict=True)
        }

    async def many(self, event_ids: Collection[UUID]) -> None:
        """Store the catalog's state of some events.

        Raises:
            CatalogUnavailable: the catalog does not answer.
        """
        for found in await self._catalog.get_events(event_ids):
            await apply_event(found, bookings=self._bookings)

    def _start(self, event_ids: Collection[UUID]) -> None:
        task = asyncio.create_task(self._fetch(event_ids))
        self._in_flight |= dict.fromkeys(event_ids, task)
        task.add_done_callback(lambda done: self._finish(event_ids, done))

    async def _fetch(self, event_ids: Collection[UUID]) -> _Fetched:
        fetched: _Fetched = {}
        for event in await self._catalog.get_events(event_ids):
            try:
                await apply_event(event, bookings=self._bookings)
                fetched[event.event.id] = True
            except Exception as error:  # noqa: BLE001 - passed on to the callers of this event
                fetched[event.event.id] = error
        return fetched

    def _finish(self, event_ids: Collection[UUID], task: asyncio.Task[_Fetched]) -> None:
        for event_id in event_ids:
            del self._in_flight[event_id]
        if not task.cancelled():
            task.exception()  # retrieved, even if every caller was cancelled
