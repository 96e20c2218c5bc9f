"""Tickets as JSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from goticket.booking.v1 import booking_pb2 as pb
from pydantic import Field

from gateway.rest.bookings.schemas import TicketCode, TicketStatus, ticket_code
from gateway.rest.schemas import Answer, Id, Page, to_instant


class TicketEventOut(Answer):
    """The event a ticket admits to."""

    id: Id
    name: str = Field(examples=["Metallica Live"])
    location: str = Field(examples=["PGE Narodowy, Warsaw"])
    timezone: str = Field(examples=["Europe/Warsaw"])
    start_at: datetime
    end_at: datetime


class TicketOut(Answer):
    """One admission."""

    id: Id
    booking_id: Id
    event_id: Id
    ticket_type_id: Id
    ticket_type_name: str = Field(examples=["General Admission"])
    code: TicketCode = None
    status: TicketStatus
    holder_name: str = Field(examples=["Grace Hopper"])
    event: TicketEventOut

    @classmethod
    def of(cls, ticket: pb.Ticket) -> Self:
        """Translate from booking's."""
        return cls(
            id=ticket.id,
            booking_id=ticket.booking_id,
            event_id=ticket.event_id,
            ticket_type_id=ticket.ticket_type_id,
            ticket_type_name=ticket.ticket_type_name,
            code=ticket_code(ticket),
            status=TicketStatus.of(ticket.status),
            holder_name=ticket.holder_name,
            event=TicketEventOut(
                id=ticket.event.id,
                name=ticket.event.name,
                location=ticket.event.location,
                timezone=ticket.event.timezone,
                start_at=to_instant(ticket.event.starts_at),
                end_at=to_instant(ticket.event.ends_at),
            ),
        )


class TicketPage(Page):
    """Tickets, newest first."""

    items: Sequence[TicketOut]
