"""Sends each booking in a call of its own: the baseline of the batched submitter."""

from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.rpc.client import WRITE_SECONDS

from gateway.booking_submission.submitter import AdmitMany, IsDisconnected, SendOne
from gateway.http.request_context import RequestContext
from gateway.rate_limits.charged_request import ChargedRequest


class UnbatchedSubmitter:
    """Sends each booking in a call of its own; it has no queue and rejects nothing."""

    def __init__(
        self,
        send_one: SendOne,
        deadline: float = WRITE_SECONDS,
        admit: AdmitMany | None = None,
    ) -> None:
        self._send_one = send_one
        self._admit = admit
        self._deadline = deadline

    def rejection_reason(self, _event_id: str) -> str | None:
        """Return None: there is no queue that could be full."""
        return None

    async def submit(
        self,
        request: pb.CreateBookingRequest,
        context: RequestContext,
        is_disconnected: IsDisconnected | None = None,
        charged: ChargedRequest | None = None,
    ) -> pb.CreateBookingResponse:
        """Send the request; cancelling ends its call.

        Raises:
            Problem: rate_limited.
            RemoteError: booking rejected the request, or the call failed.
        """
        context.enter()
        if self._admit and charged:
            [problem] = await self._admit([charged])
            if problem:
                raise problem
        return await self._send_one(request, self._deadline)
