"""The inventory of the booking service, over gRPC."""

from collections.abc import Mapping
from uuid import UUID

import grpc
from goticket.booking.v1.booking_pb2 import ShrinkCapacityRequest, TicketTypeCapacity
from goticket.booking.v1.booking_pb2_grpc import BookingServiceStub
from goticket_platform.rpc.client import call
from goticket_platform.rpc.errors import RemoteError

from catalog.domain.errors import BookingUnavailable, CapacityBelowTaken

SHRINK_TIMEOUT_SECONDS = 3.0
"""Shorter than the caller's own deadline of 5 s, so that time remains for the save."""

_UNAVAILABLE_STATUSES = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


class BookingInventory:
    """Shrinks capacities in the booking service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = BookingServiceStub(channel)

    async def shrink(self, event_id: UUID, capacities: Mapping[UUID, int]) -> None:
        """Lower the capacity of each ticket type to the given one, all or none.

        Raises:
            CapacityBelowTaken: more tickets are sold or held than the new capacity allows.
            BookingUnavailable: the booking service did not answer.
        """
        request = ShrinkCapacityRequest(
            event_id=str(event_id),
            ticket_types=[
                TicketTypeCapacity(ticket_type_id=str(ticket_type_id), capacity=capacity)
                for ticket_type_id, capacity in capacities.items()
            ],
        )
        try:
            # Capacities are absolute, so the call may be repeated.
            await call(
                self._stub.ShrinkCapacity, request, timeout=SHRINK_TIMEOUT_SECONDS, idempotent=True
            )
        except RemoteError as error:
            if error.code == CapacityBelowTaken.code:
                raise CapacityBelowTaken(error.message, metadata=error.metadata) from error
            if error.status in _UNAVAILABLE_STATUSES:
                raise BookingUnavailable from error
            raise
