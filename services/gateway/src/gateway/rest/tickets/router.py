"""Tickets and their printed forms."""

import functools
from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.http.disconnect import is_disconnected
from gateway.http.openapi import problems
from gateway.http.request_context import RequestContext
from gateway.http.responses import as_starlette
from gateway.rest.dependencies import Booking, Cursor, Limit, Printer, TicketId
from gateway.rest.routes import HeadFirstRoute
from gateway.rest.tickets.reads import (
    PDF,
    SVG,
    read_ticket,
    read_ticket_pdf,
    read_ticket_qr,
    read_tickets,
)
from gateway.rest.tickets.schemas import TicketOut, TicketPage
from gateway.security.authentication import AnyCaller

router = APIRouter(prefix="/api/v1/tickets", tags=["tickets"], route_class=HeadFirstRoute)


def _file(media_type: str) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "string", "contentMediaType": media_type}
    return {200: {"content": {media_type: {"schema": schema}}}}


class _Svg(Response):
    media_type = SVG


class _Pdf(Response):
    media_type = PDF


@router.get("", summary="List one's tickets", response_model=TicketPage)
async def list_tickets(
    caller: AnyCaller, booking: Booking, limit: Limit = 20, cursor: Cursor = None
) -> Any:
    """The caller's own, newest first."""
    context = RequestContext.current()
    return as_starlette(await read_tickets(booking, caller, limit, cursor, context))


@router.get(
    "/{ticket_id}",
    summary="Read a ticket",
    response_model=TicketOut,
    responses=problems("forbidden", "ticket_not_found"),
)
async def get_ticket(caller: AnyCaller, ticket_id: TicketId, booking: Booking) -> Any:
    """Only its buyer, the event's organizer, or an admin. Only the buyer gets the code."""
    context = RequestContext.current()
    return as_starlette(await read_ticket(booking, caller, ticket_id, context))


@router.get(
    "/{ticket_id}/qr.svg",
    summary="Draw a ticket's QR code",
    response_class=_Svg,
    responses={**_file(SVG), **problems("forbidden", "ticket_not_found", "ticket_void")},
)
async def get_ticket_qr(caller: AnyCaller, ticket_id: TicketId, booking: Booking) -> Response:
    """The signed code as a QR code, for the buyer only."""
    context = RequestContext.current()
    return as_starlette(await read_ticket_qr(booking, caller, ticket_id, context))


@router.get(
    "/{ticket_id}/ticket.pdf",
    summary="Print a ticket",
    response_class=_Pdf,
    responses={**_file(PDF), **problems("forbidden", "ticket_not_found", "ticket_void")},
)
async def get_ticket_pdf(
    request: Request, caller: AnyCaller, ticket_id: TicketId, booking: Booking, printer: Printer
) -> Response:
    """One page to print or to show at the entrance, for the buyer only."""
    context = RequestContext.current()
    disconnected = functools.partial(is_disconnected, request.receive)
    return as_starlette(
        await read_ticket_pdf(booking, printer, caller, ticket_id, context, disconnected)
    )
