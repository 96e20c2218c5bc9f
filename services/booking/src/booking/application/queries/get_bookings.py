"""Reads bookings for several actors at once."""

from collections.abc import Sequence
from uuid import UUID

from goticket_kernel.actor import Actor
from goticket_kernel.errors import DomainError

from booking.application.ports import BookingOfEvent, BookingQueries
from booking.domain.errors import BookingNotFound
from booking.domain.rights import booking_for, require_reader


async def get_bookings(
    wanted: Sequence[tuple[UUID, Actor]], *, queries: BookingQueries
) -> list[BookingOfEvent | DomainError]:
    """Read each booking for its actor: the buyer, the event's organizer or an admin.

    Only the buyer gets the codes of the tickets. There is a result for each id and actor, in
    their order: the booking, BookingNotFound or Forbidden.
    """
    found = await queries.find_bookings({booking_id for booking_id, _ in wanted})
    by_id = {each.booking.id: each for each in found}
    return [_result(by_id.get(booking_id), actor) for booking_id, actor in wanted]


def _result(found: BookingOfEvent | None, actor: Actor) -> BookingOfEvent | DomainError:
    if found is None:
        return BookingNotFound()
    try:
        require_reader(actor, found.booking.user_id, found.event)
    except DomainError as error:
        return error
    return BookingOfEvent(booking_for(actor, found.booking), found.event)
