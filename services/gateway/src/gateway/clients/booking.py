"""Calls to booking: bookings, tickets, availability."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import grpc
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1.booking_pb2_grpc import BookingServiceStub
from goticket.common.v1.common_pb2 import Actor
from goticket_platform.rpc.client import READ_SECONDS, WRITE_SECONDS, call
from goticket_platform.rpc.errors import RemoteError

from gateway.clients.batched_reads import BatchedReads, Reads, UnbatchedReads
from gateway.http.request_context import RequestContext

MAX_READS = 100
"""Bookings or tickets that one call reads at most; booking accepts 200."""
MAX_PAGES = 25
"""Pages of tickets that one call reads at most: a page has up to 100 tickets."""

ResponseT = TypeVar("ResponseT")

_STATUSES = {status.value[0]: status for status in grpc.StatusCode}


class BookingClient:
    """Every method raises RemoteError when booking refuses or is unavailable."""

    def __init__(self, channel: grpc.aio.Channel, *, batch_reads: bool = True) -> None:
        self.channel = channel
        self._stub = BookingServiceStub(channel)
        self._bookings: Reads[pb.GetBookingRequest, pb.Booking]
        self._tickets: Reads[pb.GetTicketRequest, pb.Ticket]
        self._ticket_pages: Reads[pb.ListTicketsRequest, pb.ListTicketsResponse]
        if not batch_reads:
            self._bookings = UnbatchedReads(self._get_booking)
            self._tickets = UnbatchedReads(self._get_ticket)
            self._ticket_pages = UnbatchedReads(self._list_tickets)
            return
        self._bookings = BatchedReads(
            "bookings", self._get_booking, self._get_bookings, max_batch=MAX_READS
        )
        self._tickets = BatchedReads(
            "tickets", self._get_ticket, self._get_tickets, max_batch=MAX_READS
        )
        self._ticket_pages = BatchedReads(
            "ticket pages", self._list_tickets, self._list_many_tickets, max_batch=MAX_PAGES
        )

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

    async def get(self, actor: Actor, booking_id: str, context: RequestContext) -> pb.Booking:
        """Read a booking."""
        request = pb.GetBookingRequest(actor=actor, booking_id=booking_id)
        return await self._bookings.read(request, context)

    async def _get_booking(self, request: pb.GetBookingRequest, timeout: float) -> pb.Booking:
        return (await _read(self._stub.GetBooking, request, timeout)).booking

    async def _get_bookings(
        self, requests: Sequence[pb.GetBookingRequest], timeout: float
    ) -> Sequence[pb.Booking | RemoteError]:
        request = pb.BatchGetBookingsRequest(requests=requests)
        answer = await _read(self._stub.BatchGetBookings, request, timeout)
        return [
            each.booking if each.HasField("booking") else _remote_error(each.error)
            for each in answer.results
        ]

    async def list_page(self, request: pb.ListBookingsRequest) -> pb.ListBookingsResponse:
        """Read a page of bookings."""
        return await call(self._stub.ListBookings, request, timeout=READ_SECONDS, idempotent=True)

    async def get_ticket(self, actor: Actor, ticket_id: str, context: RequestContext) -> pb.Ticket:
        """Read a ticket."""
        request = pb.GetTicketRequest(actor=actor, ticket_id=ticket_id)
        return await self._tickets.read(request, context)

    async def _get_ticket(self, request: pb.GetTicketRequest, timeout: float) -> pb.Ticket:
        return (await _read(self._stub.GetTicket, request, timeout)).ticket

    async def _get_tickets(
        self, requests: Sequence[pb.GetTicketRequest], timeout: float
    ) -> Sequence[pb.Ticket | RemoteError]:
        request = pb.BatchGetTicketsRequest(requests=requests)
        answer = await _read(self._stub.BatchGetTickets, request, timeout)
        return [
            each.ticket if each.HasField("ticket") else _remote_error(each.error)
            for each in answer.results
        ]

    async def list_tickets(
        self, request: pb.ListTicketsRequest, context: RequestContext
    ) -> pb.ListTicketsResponse:
        """Read a page of tickets."""
        return await self._ticket_pages.read(request, context)

    async def _list_tickets(
        self, request: pb.ListTicketsRequest, timeout: float
    ) -> pb.ListTicketsResponse:
        return await _read(self._stub.ListTickets, request, timeout)

    async def _list_many_tickets(
        self, requests: Sequence[pb.ListTicketsRequest], timeout: float
    ) -> Sequence[pb.ListTicketsResponse | RemoteError]:
        request = pb.BatchListTicketsRequest(requests=requests)
        answer = await _read(self._stub.BatchListTickets, request, timeout)
        return [
            each.page if each.HasField("page") else _remote_error(each.error)
            for each in answer.results
        ]

    async def availability(self, event_ids: Sequence[str]) -> Sequence[pb.EventAvailability]:
        """Return the availability of those events that are provisioned."""
        request = pb.GetAvailabilityRequest(event_ids=event_ids)
        return (
            await call(self._stub.GetAvailability, request, timeout=READ_SECONDS, idempotent=True)
        ).events

    async def check_in_version(self, actor: Actor, event_id: str) -> int:
        """Return the version of an event's check-in list."""
        request = pb.GetCheckInVersionRequest(actor=actor, event_id=event_id)
        return (await _read(self._stub.GetCheckInVersion, request, READ_SECONDS)).version

    async def check_in_tickets(
        self, request: pb.ListCheckInTicketsRequest
    ) -> Sequence[pb.CheckInTicket]:
        """Read a page of an event's check-in list."""
        return (await _read(self._stub.ListCheckInTickets, request, READ_SECONDS)).tickets

    async def ticket_keys(self) -> Sequence[pb.TicketKey]:
        """Return the public keys that verify ticket codes."""
        request = pb.ListTicketKeysRequest()
        return (
            await call(self._stub.ListTicketKeys, request, timeout=READ_SECONDS, idempotent=True)
        ).keys


async def _read(
    method: Callable[..., Awaitable[ResponseT]], request: object, timeout: float
) -> ResponseT:
    return await call(method, request, timeout=timeout, idempotent=True)


def _outcome(result: pb.BatchResult) -> pb.CreateBookingResponse | RemoteError:
    if result.WhichOneof("outcome") == "created":
        return result.created
    return _remote_error(result.error)


def _remote_error(error: pb.BatchError) -> RemoteError:
    """Return the error that the request's own call would have raised."""
    return RemoteError(
        _STATUSES.get(error.status, grpc.StatusCode.UNKNOWN),
        error.reason or "internal",
        error.message,
        tuple((item.field, item.message) for item in error.fields),
        dict(error.metadata),
    )
