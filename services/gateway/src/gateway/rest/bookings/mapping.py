"""New bookings from the public API's body to booking's message."""

from collections.abc import Sequence
from dataclasses import dataclass

from goticket.booking.v1 import booking_pb2 as pb

from gateway.http.problems import FieldProblem, Problem
from gateway.rest.bookings.schemas import BookingIn
from gateway.security.authentication import Caller

_ANY_TYPE = ("",)
"""Ticket types of a body with only a quantity: booking takes the only type of the event."""


@dataclass(frozen=True, slots=True)
class CreateBookingCommand:
    """A caller's request to book, with a valid body."""

    caller: Caller
    event_id: str
    body: BookingIn
    idempotency_key: str | None

    @property
    def ticket_type_ids(self) -> Sequence[str]:
        """The ticket type of each line; empty for the only type of the event."""
        items = self.body.items
        return _ANY_TYPE if items is None else [line.ticket_type_id for line in items]

    def as_request(self) -> pb.CreateBookingRequest:
        """Return the command as booking's message."""
        return pb.CreateBookingRequest(
            actor=self.caller.actor,
            event_id=self.event_id,
            lines=_lines(self.body),
            hold=bool(self.body.hold),
            idempotency_key=self.idempotency_key or "",
        )


def create_command(
    body: BookingIn, event_id: str, caller: Caller, idempotency_key: str | None
) -> CreateBookingCommand:
    """Return the command of a request.

    Raises:
        Problem: validation_failed, when there is not exactly one of `quantity` and `items`.
    """
    if (body.quantity is None) == (body.items is None):
        text = "Send either quantity or items."
        raise Problem("validation_failed", errors=[FieldProblem("quantity", text)])
    return CreateBookingCommand(caller, event_id, body, idempotency_key)


def _lines(body: BookingIn) -> list[pb.BookingLine]:
    if body.quantity is not None:
        return [pb.BookingLine(quantity=body.quantity)]
    return [
        pb.BookingLine(ticket_type_id=line.ticket_type_id, quantity=line.quantity)
        for line in body.items or ()
    ]
