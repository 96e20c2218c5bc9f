"""Compares events with the catalog some time after their capacity was shrunk."""

from collections.abc import Sequence
from uuid import UUID

from booking.application.commands.apply_event import apply_event
from booking.application.ports import BookingStore, Catalog, Clock


async def resync_events(
    event_ids: Sequence[UUID], *, catalog: Catalog, bookings: BookingStore, now: Clock
) -> list[UUID]:
    """Apply the catalog's state of events whose resync is due; return those it does not know.

    The catalog shrinks a capacity in booking first and saves it second. If that save
    failed, booking would offer too few tickets. The catalog's capacity is authoritative.

    Raises:
        CatalogUnavailable: the catalog does not answer.
    """
    read_at = now()
    found = await catalog.get_events(event_ids)
    for event in found:
        await apply_event(event, bookings=bookings, read_at=read_at)
    known = {event.event.id for event in found}
    return [event_id for event_id in event_ids if event_id not in known]
