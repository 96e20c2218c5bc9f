"""Reads of tickets, for FastAPI's routes and the fast path."""

import asyncio
from collections.abc import Callable

from cachetools import LRUCache
from goticket.booking.v1 import booking_pb2 as pb
from goticket_documents.qr import qr_svg

from gateway.clients.booking import BookingClient
from gateway.http.problems import Problem
from gateway.http.request_context import RequestContext
from gateway.http.responses import HttpResponse, content_headers, json_response
from gateway.rest.tickets.rendering import ticket_json, ticket_page_json
from gateway.rest.tickets.ticket_pdf import TicketPrinter
from gateway.security.authentication import Caller

SVG = "image/svg+xml"
PDF = "application/pdf"
DRAWINGS_BYTES = 16 * 1024 * 1024
"""Size of all drawings that are cached, by code. A ticket is read before each answer, so a
cached drawing never outlives its ticket."""

_drawings: LRUCache[str, bytes] = LRUCache(
    DRAWINGS_BYTES, getsizeof=lambda drawing: len(drawing) + 1024
)


async def read_ticket(
    booking: BookingClient, caller: Caller, ticket_id: str, context: RequestContext
) -> HttpResponse:
    """Return a ticket as the caller may see it.

    Raises:
        RemoteError: booking refuses or is unavailable.
    """
    return json_response(ticket_json(await booking.get_ticket(caller.actor, ticket_id, context)))


async def read_tickets(
    booking: BookingClient,
    caller: Caller,
    limit: int,
    cursor: str | None,
    context: RequestContext,
) -> HttpResponse:
    """Return a page of the caller's tickets.

    Raises:
        RemoteError: booking refuses or is unavailable.
    """
    request = pb.ListTicketsRequest(actor=caller.actor, limit=limit, cursor=cursor or "")
    return json_response(ticket_page_json(await booking.list_tickets(request, context)))


async def read_ticket_qr(
    booking: BookingClient, caller: Caller, ticket_id: str, context: RequestContext
) -> HttpResponse:
    """Return a ticket's code as a QR code.

    Raises:
        Problem: ticket_void, forbidden.
        RemoteError: booking refuses or is unavailable.
    """
    ticket = await read_usable_ticket(booking, caller, ticket_id, context)
    drawing = _drawings.get(ticket.code)
    if drawing is None:
        # Milliseconds of computing: in a thread they do not delay other requests.
        drawing = await asyncio.to_thread(qr_svg, ticket.code)
        _drawings[ticket.code] = drawing
    return HttpResponse(200, content_headers(SVG.encode(), drawing), drawing)


async def read_ticket_pdf(
    booking: BookingClient,
    printer: TicketPrinter,
    caller: Caller,
    ticket_id: str,
    context: RequestContext,
    is_disconnected: Callable[[], bool],
) -> HttpResponse:
    """Return a ticket as a PDF.

    Raises:
        Problem: ticket_void; busy, if too many documents wait; unavailable, if drawing fails.
        RemoteError: booking refuses or is unavailable.
    """
    ticket = await read_usable_ticket(booking, caller, ticket_id, context)
    document = await printer.print(ticket, is_disconnected)
    name = f'attachment; filename="ticket-{ticket.id}.pdf"'
    headers = content_headers(PDF.encode(), document)
    headers.append((b"content-disposition", name.encode()))
    return HttpResponse(200, headers, document)


async def read_usable_ticket(
    booking: BookingClient, caller: Caller, ticket_id: str, context: RequestContext
) -> pb.Ticket:
    """Return a ticket to be drawn.

    Raises:
        Problem: ticket_void; or forbidden, because only the buyer gets the code.
        RemoteError: booking refuses or is unavailable.
    """
    ticket = await booking.get_ticket(caller.actor, ticket_id, context)
    if ticket.status == pb.TICKET_STATUS_VOID:
        raise Problem("ticket_void")
    if not ticket.code:
        raise Problem("forbidden", "Only the buyer of a ticket gets its code.")
    return ticket
