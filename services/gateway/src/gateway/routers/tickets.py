"""Tickets and their printed forms."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Response
from goticket.booking.v1 import booking_pb2 as pb
from goticket_documents.qr import qr_svg

from gateway.auth import AnyCaller
from gateway.dependencies import Booking, Cursor, Limit, TicketId
from gateway.openapi import problems
from gateway.schemas.bookings import TicketOut, TicketPage
from gateway.ticket_pdf import ticket_pdf

router = APIRouter(prefix="/api/v1/tickets", tags=["tickets"])

SVG = "image/svg+xml"
PDF = "application/pdf"


def _file(media_type: str) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "string", "contentMediaType": media_type}
    return {200: {"content": {media_type: {"schema": schema}}}}


class _Svg(Response):
    media_type = SVG


class _Pdf(Response):
    media_type = PDF


@router.get("", summary="List one's tickets")
async def list_tickets(
    caller: AnyCaller, booking: Booking, limit: Limit = 20, cursor: Cursor = None
) -> TicketPage:
    """The caller's own, newest first."""
    page = await booking.list_tickets(
        pb.ListTicketsRequest(actor=caller.actor, limit=limit, cursor=cursor or "")
    )
    return TicketPage(
        items=[TicketOut.of(ticket) for ticket in page.tickets],
        next_cursor=page.next_cursor or None,
    )


@router.get(
    "/{ticket_id}", summary="Read a ticket", responses=problems("forbidden", "ticket_not_found")
)
async def get_ticket(caller: AnyCaller, ticket_id: TicketId, booking: Booking) -> TicketOut:
    """Only its owner, the event's organizer, or an admin."""
    return TicketOut.of(await booking.get_ticket(caller.actor, ticket_id))


@router.get(
    "/{ticket_id}/qr.svg",
    summary="Draw a ticket's QR code",
    response_class=_Svg,
    responses={**_file(SVG), **problems("forbidden", "ticket_not_found")},
)
async def get_ticket_qr(caller: AnyCaller, ticket_id: TicketId, booking: Booking) -> Response:
    """The signed code as a QR code."""
    ticket = await booking.get_ticket(caller.actor, ticket_id)
    return _Svg(await asyncio.to_thread(qr_svg, ticket.code))


@router.get(
    "/{ticket_id}/ticket.pdf",
    summary="Print a ticket",
    response_class=_Pdf,
    responses={**_file(PDF), **problems("forbidden", "ticket_not_found")},
)
async def get_ticket_pdf(caller: AnyCaller, ticket_id: TicketId, booking: Booking) -> Response:
    """One page to print or show at the door."""
    ticket = await booking.get_ticket(caller.actor, ticket_id)
    # Milliseconds of pure computing: a thread keeps them out of other requests' way.
    document = await asyncio.to_thread(ticket_pdf, ticket, datetime.now(UTC))
    name = f'attachment; filename="ticket-{ticket.id}.pdf"'
    return _Pdf(document, headers={"Content-Disposition": name})
