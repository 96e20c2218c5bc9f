"""Tickets as JSON straight from booking's messages.

The text equals what the models of `schemas` write; a test compares both.
"""

from typing import Any

import orjson
from goticket.booking.v1 import booking_pb2 as pb

from gateway.rest.bookings.rendering import TICKET_STATUS, code_field
from gateway.rest.instants import instant_text


def ticket_json(ticket: pb.Ticket) -> bytes:
    """Render a ticket.

    Raises:
        KeyError: the API does not know its status.
    """
    return orjson.dumps(_ticket(ticket))


def ticket_page_json(page: pb.ListTicketsResponse) -> bytes:
    """Render a page of tickets.

    Raises:
        KeyError: the API does not know a status.
    """
    items = [_ticket(ticket) for ticket in page.tickets]
    return orjson.dumps({"nextCursor": page.next_cursor or None, "items": items})


def _ticket(ticket: pb.Ticket) -> dict[str, Any]:
    event = ticket.event
    return {
        "id": ticket.id,
        "bookingId": ticket.booking_id,
        "eventId": ticket.event_id,
        "ticketTypeId": ticket.ticket_type_id,
        "ticketTypeName": ticket.ticket_type_name,
        **code_field(ticket),
        "status": TICKET_STATUS[ticket.status],
        "holderName": ticket.holder_name,
        "event": {
            "id": event.id,
            "name": event.name,
            "location": event.location,
            "timezone": event.timezone,
            "startAt": instant_text(event.starts_at),
            "endAt": instant_text(event.ends_at),
        },
    }
