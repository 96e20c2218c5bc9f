"""Lists bookings page by page."""

from collections.abc import Sequence
from uuid import UUID

from goticket_kernel.actor import Actor
from goticket_kernel.permissions import Permission

from booking.application.commands.provision_event import ProvisionEvent
from booking.application.ports import BookingOfEvent, BookingQueries
from booking.application.queries.find_managed_event import find_managed_event
from booking.domain.booking import BookingStatus
from booking.domain.rights import booking_for


async def list_bookings(
    actor: Actor,
    *,
    event_id: UUID | None,
    status: BookingStatus | None,
    before: UUID | None,
    limit: int,
    queries: BookingQueries,
    provision: ProvisionEvent,
) -> Sequence[BookingOfEvent]:
    """Read the actor's own bookings, or all bookings of an event that the actor manages.

    Codes are only in the actor's own bookings.

    Raises:
        EventNotFound: there is no such event, or it is a draft of another organizer.
        Forbidden: the actor is not the event's organizer or an admin.
        CatalogUnavailable: booking does not know the event, and the catalog is down.
    """
    if event_id is not None:
        await find_managed_event(
            event_id, actor, Permission.LIST_EVENT_BOOKINGS, queries=queries, provision=provision
        )
    found = await queries.list_bookings(
        user_id=actor.user_id if event_id is None else None,
        event_id=event_id,
        status=status,
        before=before,
        limit=limit,
    )
    return [BookingOfEvent(booking_for(actor, each.booking), each.event) for each in found]
