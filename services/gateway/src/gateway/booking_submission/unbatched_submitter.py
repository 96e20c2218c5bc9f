"""Sends each booking in a call of its own: the baseline of the batched submitter."""

from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.rpc.client import WRITE_SECONDS

from gateway.booking_submission.submitter import IsDisconnected, SendOne
from gateway.http.request_context import RequestContext


class UnbatchedSubmitter:
    """Sends each booking in a call of its own; it has no queue and rejects nothing."""

    def __init__(self, send_one: SendOne, deadline: float = WRITE_SECONDS) -> None:
        self._send_one = send_one
        self._deadline = deadline

    def rejection_reason(self, _event_id: str) -> str | None:
        """Return None: there is no queue that could be full."""
        return None

    async def submit(
        self,
        request: pb.CreateBookingRequest,
        context: RequestContext,
        is_disconnected: IsDisconnected | None = None,
    ) -> pb.CreateBookingResponse:
        """Send the request; cancelling ends its call.

        Raises:
            RemoteError: booking rejected the request, or the call failed.
        """
        context.enter()
        return await self._send_one(request, self._deadline)
