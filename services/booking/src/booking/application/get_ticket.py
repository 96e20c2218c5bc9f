"""Read one ticket."""

from uuid import UUID

from booking.application.ports import BookingLists, TicketOfBooking
from booking.domain.actor import Actor
from booking.domain.errors import TicketNotFound


async def get_ticket(ticket_id: UUID, actor: Actor, *, lists: BookingLists) -> TicketOfBooking:
    """Read a ticket for its owner, the event's organizer or an admin.

    Raises:
        TicketNotFound: there is none.
        Forbidden: the actor is none of these.
    """
    found = await lists.find_ticket(ticket_id)
    if found is None:
        raise TicketNotFound
    actor.must_be_one_of(found.user_id, found.event.organizer_id)
    return found
