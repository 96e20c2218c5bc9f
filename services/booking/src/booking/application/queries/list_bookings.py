"""Lists bookings page by page."""

from collections.abc import Sequence
from uuid import UUID

from goticket_kernel.actor import Actor

from booking.application.ports import BookingOfEvent, BookingQueries
from booking.domain.booking import BookingStatus


async def list_bookings(
    actor: Actor,
    *,
    event_id: UUID | None,
    status: BookingStatus | None,
    before: UUID | None,
    limit: int,
    queries: BookingQueries,
) -> Sequence[BookingOfEvent]:
    """Read the actor's own bookings; for an event's organizer or an admin, all of the event."""
    buyer: UUID | None = actor.user_id
    if event_id is not None:
        event = await queries.find_event(event_id)
        if event is None:
            return []
        if actor.is_admin or actor.user_id == event.organizer_id:
            buyer = None
    return await queries.list_bookings(
        user_id=buyer, event_id=event_id, status=status, before=before, limit=limit
    )
