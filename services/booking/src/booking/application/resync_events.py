"""Compare with the catalog those events whose capacity was shrunk a while ago."""

from booking.application.apply_event import apply_event
from booking.application.ports import Bookings, Catalog, Clock, Duties


async def resync_events(*, duties: Duties, catalog: Catalog, bookings: Bookings, now: Clock) -> int:
    """Take the catalog's capacities where a shrink has had its time; return how many events.

    The catalog shrinks here first and saves second. When that save failed, stock would
    be missing for good: the catalog's word counts in the end.

    Raises:
        CatalogUnavailable: the catalog does not answer.
    """
    read_at = now()
    due = await duties.events_to_resync(read_at)
    if not due:
        return 0
    found = await catalog.get_events(due)
    for event in found:
        await apply_event(event, bookings=bookings, read_at=read_at)
    return len(found)
