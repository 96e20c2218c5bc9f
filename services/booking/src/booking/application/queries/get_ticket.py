"""Reads one ticket."""

from uuid import UUID

from goticket_kernel.actor import Actor

from booking.application.ports import BookingQueries, TicketOfBooking
from booking.domain.errors import TicketNotFound


async def get_ticket(ticket_id: UUID, actor: Actor, *, queries: BookingQueries) -> TicketOfBooking:
    """Read a ticket for its buyer, the event's organizer or an admin.

    Raises:
        TicketNotFound: there is no such ticket.
        Forbidden: the actor is none of these.
    """
    found = await queries.find_ticket(ticket_id)
    if found is None:
        raise TicketNotFound
    actor.require_admin_or(found.user_id, found.event.organizer_id)
    return found
