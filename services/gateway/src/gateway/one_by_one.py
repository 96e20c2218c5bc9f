"""A call to booking for each request: simple, and the yardstick for the coalescer."""

from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.rpc.client import WRITE_SECONDS

from gateway.coalescer import HasGone, SendOne
from gateway.http.request_context import RequestContext


class OneByOne:
    """A call for each request, in place of a `Coalescer`: the yardstick for it."""

    def __init__(self, send_one: SendOne, deadline: float = WRITE_SECONDS) -> None:
        self._send_one = send_one
        self._deadline = deadline

    def rejection_reason(self, _event_id: str) -> str | None:
        """Tell that there is always room."""
        return None

    async def submit(
        self,
        request: pb.CreateBookingRequest,
        origin: RequestContext,
        has_gone: HasGone | None = None,
    ) -> pb.CreateBookingResponse:
        """Send the request; cancelling ends its call.

        Raises:
            RemoteError: booking refused it, or its call failed.
        """
        origin.enter()
        return await self._send_one(request, self._deadline)
