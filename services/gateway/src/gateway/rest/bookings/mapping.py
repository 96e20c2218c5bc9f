"""New bookings from the public API's body to booking's message."""

from goticket.booking.v1 import booking_pb2 as pb

from gateway.http.problems import FieldProblem, Problem
from gateway.rest.bookings.schemas import BookingIn
from gateway.security.authentication import Caller


def create_request(
    body: BookingIn, event_id: str, caller: Caller, idempotency_key: str | None
) -> pb.CreateBookingRequest:
    """Return the request to book for the caller.

    Raises:
        Problem: validation_failed, when there is not exactly one of `quantity` and `items`.
    """
    if (body.quantity is None) == (body.items is None):
        text = "Send either quantity or items."
        raise Problem("validation_failed", errors=[FieldProblem("quantity", text)])
    return pb.CreateBookingRequest(
        actor=caller.actor,
        event_id=event_id,
        lines=_lines(body),
        hold=bool(body.hold),
        idempotency_key=idempotency_key or "",
    )


def _lines(body: BookingIn) -> list[pb.BookingLine]:
    if body.quantity is not None:
        return [pb.BookingLine(quantity=body.quantity)]
    return [
        pb.BookingLine(ticket_type_id=line.ticket_type_id, quantity=line.quantity)
        for line in body.items or ()
    ]
