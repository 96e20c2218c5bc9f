"""Fetches from the catalog an event that booking does not know, or has in an old version."""

import asyncio
from collections.abc import Collection
from uuid import UUID

from booking.application.commands.apply_event import apply_event
from booking.application.ports import BookingStore, Catalog


class ProvisionEvent:
    """Fetches events with single flight: concurrent requests for one event share one call."""

    def __init__(self, catalog: Catalog, bookings: BookingStore) -> None:
        self._catalog = catalog
        self._bookings = bookings
        self._in_flight: dict[UUID, asyncio.Task[bool]] = {}

    async def __call__(self, event_id: UUID) -> bool:
        """Store the catalog's state of the event; return whether the catalog knows it.

        Raises:
            CatalogUnavailable: the catalog does not answer.
        """
        task = self._in_flight.get(event_id)
        if task is None:
            task = asyncio.create_task(self._fetch(event_id))
            self._in_flight[event_id] = task
            task.add_done_callback(lambda done: self._complete(event_id, done))
        # Shielded: the deadline of one caller must not cancel the call for the others.
        return await asyncio.shield(task)

    async def many(self, event_ids: Collection[UUID]) -> None:
        """Store the catalog's state of some events.

        Raises:
            CatalogUnavailable: the catalog does not answer.
        """
        for found in await self._catalog.get_events(event_ids):
            await apply_event(found, bookings=self._bookings)

    async def _fetch(self, event_id: UUID) -> bool:
        found = await self._catalog.get_events([event_id])
        for event in found:
            await apply_event(event, bookings=self._bookings)
        return bool(found)

    def _complete(self, event_id: UUID, task: asyncio.Task[bool]) -> None:
        del self._in_flight[event_id]
        if not task.cancelled():
            task.exception()  # retrieved, even if every caller was cancelled
