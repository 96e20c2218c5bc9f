"""The interface through which the gateway creates bookings."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.rpc.errors import RemoteError

from gateway.http.problems import Problem
from gateway.http.request_context import RequestContext
from gateway.rate_limits.charged_request import ChargedRequest

Outcome = pb.CreateBookingResponse | RemoteError
SendOne = Callable[[pb.CreateBookingRequest, float], Awaitable[pb.CreateBookingResponse]]
"""Calls CreateBooking with a timeout in seconds."""
SendMany = Callable[[Sequence[pb.CreateBookingRequest], float], Awaitable[Sequence[Outcome]]]
"""Calls BatchCreateBookings with a timeout in seconds; returns the outcome of each request."""
AdmitMany = Callable[[Sequence[ChargedRequest]], Awaitable[Sequence[Problem | None]]]
"""Charges the rate limits of requests; returns the problem of each refused one."""
IsDisconnected = Callable[[], bool]
"""Returns whether the client has closed its connection."""


class BookingSubmitter(Protocol):
    """Creates bookings, in batches or one by one."""

    def rejection_reason(self, event_id: str) -> str | None:
        """Return the reason to reject a booking of this event as busy now, if there is one."""
        ...

    def submit(
        self,
        request: pb.CreateBookingRequest,
        context: RequestContext,
        is_disconnected: IsDisconnected | None = None,
        charged: ChargedRequest | None = None,
    ) -> Coroutine[Any, Any, pb.CreateBookingResponse]:
        """Create a booking. Cancelling ends the call unless other requests share it.

        The rate limits of `charged` are applied before the request is sent.

        Raises:
            Problem: busy, if the answer would come too late; rate_limited.
            RemoteError: booking rejected the request, or the call failed.
        """
        ...
