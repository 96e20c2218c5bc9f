"""Calls to booking: bookings, tickets, what is left."""

from collections.abc import Sequence

import grpc
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1.booking_pb2_grpc import BookingServiceStub
from goticket.common.v1.common_pb2 import Actor
from goticket_platform.rpc.client import READ_SECONDS, WRITE_SECONDS, call


class BookingClient:
    """Every method raises RemoteError when booking refuses or is away."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._stub = BookingServiceStub(channel)

    async def create(self, request: pb.CreateBookingRequest) -> pb.CreateBookingResponse:
        """Book tickets. Retried only under an idempotency key, which makes repeats harmless."""
        return await call(
            self._stub.CreateBooking,
            request,
            timeout=WRITE_SECONDS,
            idempotent=bool(request.idempotency_key),
        )

    async def confirm(self, actor: Actor, booking_id: str) -> pb.Booking:
        """Turn a hold into tickets."""
        request = pb.ConfirmBookingRequest(actor=actor, booking_id=booking_id)
        return (await call(self._stub.ConfirmBooking, request, timeout=WRITE_SECONDS)).booking

    async def cancel(self, actor: Actor, booking_id: str) -> pb.Booking:
        """Give a booking up."""
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
        """Return what is left of those events that are provisioned."""
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
