"""Reads tickets for several actors at once."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from goticket_kernel.actor import Actor
from goticket_kernel.errors import DomainError

from booking.application.ports import BookingQueries, TicketOfBooking
from booking.domain.errors import TicketNotFound
from booking.domain.rights import require_reader, ticket_for


async def get_tickets(
    wanted: Sequence[tuple[UUID, Actor]], *, queries: BookingQueries
) -> list[TicketOfBooking | DomainError]:
    """Read each ticket for its actor: the buyer, the event's organizer or an admin.

    Only the buyer gets the code. There is a result for each id and actor, in
    their order: the ticket, TicketNotFound or Forbidden.
    """
    found = await queries.find_tickets({ticket_id for ticket_id, _ in wanted})
    by_id = {each.ticket.id: each for each in found}
    return [_result(by_id.get(ticket_id), actor) for ticket_id, actor in wanted]


def _result(found: TicketOfBooking | None, actor: Actor) -> TicketOfBooking | DomainError:
    if found is None:
        return TicketNotFound()
    try:
        require_reader(actor, found.user_id, found.event)
    except DomainError as error:
        return error
    return replace(found, ticket=ticket_for(actor, found.ticket, found.user_id))
