"""Page through bookings."""

from collections.abc import Sequence
from uuid import UUID

from booking.application.ports import BookingLists, BookingOfEvent
from booking.domain.actor import Actor
from booking.domain.booking import BookingStatus


async def list_bookings(
    actor: Actor,
    *,
    event_id: UUID | None,
    status: BookingStatus | None,
    before: UUID | None,
    limit: int,
    lists: BookingLists,
) -> Sequence[BookingOfEvent]:
    """Read the actor's own bookings; of an event of theirs (or any, for an admin) everybody's."""
    owner: UUID | None = actor.user_id
    if event_id is not None:
        event = await lists.find_event(event_id)
        if event is None:
            return []
        if actor.is_admin or actor.user_id == event.organizer_id:
            owner = None
    return await lists.list_bookings(
        user_id=owner, event_id=event_id, status=status, before=before, limit=limit
    )
