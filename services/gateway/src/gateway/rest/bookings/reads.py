"""Reads of bookings, for FastAPI's routes and the fast path."""

from gateway.clients.booking import BookingClient
from gateway.http.request_context import RequestContext
from gateway.http.responses import HttpResponse, json_response
from gateway.rest.bookings.rendering import booking_json
from gateway.security.authentication import Caller


async def read_booking(
    booking: BookingClient, caller: Caller, booking_id: str, context: RequestContext
) -> HttpResponse:
    """Return a booking as the caller may see it.

    Raises:
        RemoteError: booking refuses or is unavailable.
    """
    return json_response(booking_json(await booking.get(caller.actor, booking_id, context)))
