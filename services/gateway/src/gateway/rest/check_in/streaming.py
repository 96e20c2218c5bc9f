"""Writes a check-in list page by page, so that a list of any length needs little memory.

A slow device delays only its own answer: booking holds nothing between two pages.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import orjson
from goticket.booking.v1 import booking_pb2 as pb
from goticket.common.v1.common_pb2 import Actor

from gateway.clients.booking import BookingClient
from gateway.rest.bookings.rendering import TICKET_STATUS
from gateway.rest.keys.router import PublicKey

PAGE_SIZE = 2_000
"""Tickets of one call to booking: about 200 KB, and 10 to 20 ms of the database."""

_LISTS = (
    (b"valid", (pb.TICKET_STATUS_VALID, pb.TICKET_STATUS_CHECKED_IN)),
    (b"void", (pb.TICKET_STATUS_VOID,)),
)


@dataclass(frozen=True, slots=True)
class CheckInRequest:
    """A caller's request for the changes of an event's list after one version, up to another."""

    actor: Actor
    event_id: str
    since: int
    version: int


async def check_in_list(
    booking: BookingClient, request: CheckInRequest, keys: Sequence[PublicKey]
) -> AsyncIterator[bytes]:
    """Yield the parts of the JSON document.

    Raises:
        RemoteError: booking refuses or is unavailable. If the answer has begun, the server
            closes the connection, and the device sees an incomplete document.
    """
    head = {"version": request.version, "publicKeys": [key.model_dump() for key in keys]}
    yield orjson.dumps(head)[:-1]
    for name, statuses in _LISTS:
        yield b',"' + name + b'":['
        separator = b""
        for status in statuses:
            async for page in _pages(booking, request, status):
                yield separator + b",".join(map(_ticket, page))
                separator = b","
        yield b"]"
    yield b"}"


async def _pages(
    booking: BookingClient, request: CheckInRequest, status: "pb.TicketStatus.ValueType"
) -> AsyncIterator[Sequence[pb.CheckInTicket]]:
    """Yield the pages of the tickets in one status; none is empty."""
    if request.since >= request.version:
        return
    wanted = pb.ListCheckInTicketsRequest(
        actor=request.actor,
        event_id=request.event_id,
        status=status,
        after_version=request.since,
        up_to_version=request.version,
        limit=PAGE_SIZE,
    )
    while True:
        page = await booking.check_in_tickets(wanted)
        if page:
            yield page
        if len(page) < PAGE_SIZE:
            return
        wanted.after_version, wanted.after_ticket_id = page[-1].version, page[-1].id


def _ticket(ticket: pb.CheckInTicket) -> bytes:
    return orjson.dumps(
        {
            "id": ticket.id,
            "ticketTypeId": ticket.ticket_type_id,
            "holderName": ticket.holder_name,
            "status": TICKET_STATUS[ticket.status],
        }
    )
