"""Compares events with the catalog some time after their capacity was shrunk."""

from booking.application.commands.apply_event import apply_event
from booking.application.ports import BookingStore, Catalog, Clock, MaintenanceQueries


async def resync_events(
    *, maintenance: MaintenanceQueries, catalog: Catalog, bookings: BookingStore, now: Clock
) -> int:
    """Apply the catalog's state of events whose resync is due; return how many.

    The catalog shrinks a capacity in booking first and saves it second. If that save
    failed, booking would offer too few tickets. The catalog's capacity is authoritative.

    Raises:
        CatalogUnavailable: the catalog does not answer.
    """
    read_at = now()
    due = await maintenance.events_to_resync(read_at)
    if not due:
        return 0
    found = await catalog.get_events(due)
    for event in found:
        await apply_event(event, bookings=bookings, read_at=read_at)
    return len(found)
