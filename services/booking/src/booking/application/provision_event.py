"""Ask the catalog for an event that booking does not know, or not well enough."""

import asyncio
from collections.abc import Collection
from uuid import UUID

from booking.application.apply_event import apply_event
from booking.application.ports import Bookings, Catalog


class ProvisionEvent:
    """Fetches events, each at most once at a time: a crowd at the door asks one question."""

    def __init__(self, catalog: Catalog, bookings: Bookings) -> None:
        self._catalog = catalog
        self._bookings = bookings
        self._flights: dict[UUID, asyncio.Task[bool]] = {}

    async def __call__(self, event_id: UUID) -> bool:
        """Store what the catalog says of the event; tell whether it knows it.

        Raises:
            CatalogUnavailable: the catalog does not answer.
        """
        flight = self._flights.get(event_id)
        if flight is None:
            flight = asyncio.create_task(self._fetch(event_id))
            self._flights[event_id] = flight
            flight.add_done_callback(lambda done: self._land(event_id, done))
        # Shielded: one caller's deadline must not end the others' question.
        return await asyncio.shield(flight)

    async def many(self, event_ids: Collection[UUID]) -> None:
        """Store what the catalog says of some events.

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

    def _land(self, event_id: UUID, flight: asyncio.Task[bool]) -> None:
        del self._flights[event_id]
        if not flight.cancelled():
            flight.exception()  # seen, even when every caller has gone
