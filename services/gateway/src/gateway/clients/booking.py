"""Calls to booking: bookings, tickets, availability."""

import asyncio
from collections.abc import Sequence

import grpc
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1.booking_pb2_grpc import BookingServiceStub
from goticket.common.v1.common_pb2 import Actor
from goticket_platform.rpc.client import READ_SECONDS, WRITE_SECONDS, call
from goticket_platform.rpc.errors import RemoteError

_STATUSES = {status.value[0]: status for status in grpc.StatusCode}


class BookingClient:
    """Every method raises RemoteError when booking refuses or is unavailable."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._stub = BookingServiceStub(channel)

    async def create(
        self, request: pb.CreateBookingRequest, timeout: float = WRITE_SECONDS
    ) -> pb.CreateBookingResponse:
        """Book tickets. Retried only under an idempotency key, which makes repeats harmless."""
        return await call(
            self._stub.CreateBooking,
            request,
            timeout=timeout,
            idempotent=bool(request.idempotency_key),
        )

    async def create_many(
        self, requests: Sequence[pb.CreateBookingRequest], timeout: float
    ) -> Sequence[pb.CreateBookingResponse | RemoteError]:
        """Book tickets for many requests in one call; results come in the order of the requests.

        When booking is unavailable, the requests under an idempotency key are tried again
        and the others fail at once, as each would have done alone.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        try:
            return await self._create_many(requests, timeout, idempotent=False)
        except RemoteError as error:
            keyed = [request for request in requests if request.idempotency_key]
            if error.status is not grpc.StatusCode.UNAVAILABLE or not keyed:
                raise
            failure = error
        outcomes = iter(await self._again(keyed, deadline - loop.time()))
        return [next(outcomes) if request.idempotency_key else failure for request in requests]

    async def _again(
        self, requests: Sequence[pb.CreateBookingRequest], timeout: float
    ) -> Sequence[pb.CreateBookingResponse | RemoteError]:
        try:
            return await self._create_many(requests, timeout, idempotent=True)
        except RemoteError as error:
            return [error for _ in requests]

    async def _create_many(
        self, requests: Sequence[pb.CreateBookingRequest], timeout: float, *, idempotent: bool
    ) -> Sequence[pb.CreateBookingResponse | RemoteError]:
        request = pb.BatchCreateBookingsRequest(requests=requests)
        answer = await call(
            self._stub.BatchCreateBookings, request, timeout=timeout, idempotent=idempotent
        )
        outcomes = [_outcome(result) for result in answer.results]
        if len(outcomes) != len(requests):
            text = f"{len(outcomes)} results for {len(requests)} requests"
            raise RemoteError(grpc.StatusCode.INTERNAL, "internal", text)
        return outcomes

    async def confirm(self, actor: Actor, booking_id: str) -> pb.Booking:
        """Turn a hold into tickets."""
        request = pb.ConfirmBookingRequest(actor=actor, booking_id=booking_id)
        return (await call(self._stub.ConfirmBooking, request, timeout=WRITE_SECONDS)).booking

    async def extend(self, actor: Actor, booking_id: str) -> pb.Booking:
        """Extend a hold, once. Never retried: a second call would be refused."""
        request = pb.ExtendHoldRequest(actor=actor, booking_id=booking_id)
        return (await call(self._stub.ExtendHold, request, timeout=WRITE_SECONDS)).booking

    async def cancel(self, actor: Actor, booking_id: str) -> pb.Booking:
        """Cancel a booking."""
        request = pb.CancelBookingRequest(actor=actor, booking_id=booking_id)
        return (await call(self._stub.CancelBooking, request, timeout=WRITE_SECONDS)).booking

    async def get(self, actor: Actor, booking_id: str) -> pb.Booking:
        """Read a booking."""
        request = pb.GetBookingRequest(actor=actor, booking_id=booking_id)
        return (
            await call(self._stub.GetBooking, request, timeout=READ_SECONDS, idempotent=True)
        ).booking

    async def list_page(self, request: pb.ListBookingsRequest) -> pb.ListBookingsResponse:
        """Read a page of bookings."""
        return await call(self._stub.ListBookings, request, timeout=READ_SECONDS, idempotent=True)

    async def get_ticket(self, actor: Actor, ticket_id: str) -> pb.Ticket:
        """Read a ticket."""
        request = pb.GetTicketRequest(actor=actor, ticket_id=ticket_id)
        return (
            await call(self._stub.GetTicket, request, timeout=READ_SECONDS, idempotent=True)
        ).ticket

    async def list_tickets(self, request: pb.ListTicketsRequest) -> pb.ListTicketsResponse:
        """Read a page of tickets."""
        return await call(self._stub.ListTickets, request, timeout=READ_SECONDS, idempotent=True)

    async def availability(self, event_ids: Sequence[str]) -> Sequence[pb.EventAvailability]:
        """Return the availability of those events that are provisioned."""
        request = pb.GetAvailabilityRequest(event_ids=event_ids)
        return (
            await call(self._stub.GetAvailability, request, timeout=READ_SECONDS, idempotent=True)
        ).events

    async def ticket_keys(self) -> Sequence[pb.TicketKey]:
        """Return the public keys that verify ticket codes."""
        request = pb.ListTicketKeysRequest()
        return (
            await call(self._stub.ListTicketKeys, request, timeout=READ_SECONDS, idempotent=True)
        ).keys


def _outcome(result: pb.BatchResult) -> pb.CreateBookingResponse | RemoteError:
    """Read one result of a batch: what the request's own call would have answered."""
    if result.WhichOneof("outcome") == "created":
        return result.created
    error = result.error
    return RemoteError(
        _STATUSES.get(error.status, grpc.StatusCode.UNKNOWN),
        error.reason or "internal",
        error.message,
        tuple((item.field, item.message) for item in error.fields),
        dict(error.metadata),
    )
