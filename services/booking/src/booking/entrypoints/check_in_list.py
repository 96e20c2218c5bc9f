"""The check-in list over gRPC, page by page."""

from uuid import UUID

from goticket.booking.v1 import booking_pb2 as pb
from goticket_kernel.errors import FieldError

from booking.application.commands.provision_event import ProvisionEvent
from booking.application.ports import CheckInPosition, CheckInQueries
from booking.application.queries.read_check_in_list import (
    CheckInPageQuery,
    get_check_in_version,
    list_check_in_tickets,
)
from booking.domain.errors import EventNotFound, InvalidBooking
from booking.entrypoints.requests import actor_of, id_of
from booking.wire import TICKET_STATUS

MAX_TICKETS = 2_000
"""Most tickets of a page: about 200 KB, and some 10 ms of the database."""
FIRST_ID = UUID(int=0)

_STATUS = {number: status for status, number in TICKET_STATUS.items()}


async def check_in_version(
    request: pb.GetCheckInVersionRequest, queries: CheckInQueries, provision: ProvisionEvent
) -> pb.GetCheckInVersionResponse:
    """Read the version of an event's list.

    Raises:
        DomainError: the request is refused.
    """
    version = await get_check_in_version(
        id_of(request.event_id, EventNotFound),
        actor_of(request.actor),
        queries=queries,
        provision=provision,
    )
    return pb.GetCheckInVersionResponse(version=version)


async def check_in_tickets(
    request: pb.ListCheckInTicketsRequest, queries: CheckInQueries, provision: ProvisionEvent
) -> pb.ListCheckInTicketsResponse:
    """Read a page of an event's list.

    Raises:
        DomainError: the request is refused.
    """
    page = await list_check_in_tickets(
        _page_of(request), actor_of(request.actor), queries=queries, provision=provision
    )
    return pb.ListCheckInTicketsResponse(
        tickets=[
            pb.CheckInTicket(
                id=str(ticket.id),
                ticket_type_id=str(ticket.ticket_type_id),
                holder_name=ticket.holder_name,
                status=TICKET_STATUS[ticket.status],
                version=ticket.version,
            )
            for ticket in page
        ]
    )


def _page_of(request: pb.ListCheckInTicketsRequest) -> CheckInPageQuery:
    status = _STATUS.get(request.status)
    if status is None:
        raise InvalidBooking(fields=[FieldError("status", "Must be a status of a ticket.")])
    if not 1 <= request.limit <= MAX_TICKETS:
        raise InvalidBooking(fields=[FieldError("limit", f"Must be 1 to {MAX_TICKETS}.")])
    return CheckInPageQuery(
        event_id=id_of(request.event_id, EventNotFound),
        status=status,
        after=_position_of(request),
        up_to=request.up_to_version,
        limit=request.limit,
    )


def _position_of(request: pb.ListCheckInTicketsRequest) -> CheckInPosition:
    if not request.after_ticket_id:
        # The whole version has been read. The list goes on before the first id of the next one.
        return CheckInPosition(request.after_version + 1, FIRST_ID)
    try:
        return CheckInPosition(request.after_version, UUID(request.after_ticket_id))
    except ValueError:
        problem = FieldError("afterTicketId", "Must be a UUID.")
        raise InvalidBooking(fields=[problem]) from None
