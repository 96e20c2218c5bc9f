"""Stock as the booking service knows it, over gRPC."""

from collections.abc import Mapping
from uuid import UUID

import grpc
from goticket.booking.v1.booking_pb2 import (
    FollowEventRequest,
    ShrinkCapacityRequest,
    TicketTypeCapacity,
)
from goticket.booking.v1.booking_pb2_grpc import BookingServiceStub
from goticket_platform.logs import get_logger
from goticket_platform.rpc.client import call
from goticket_platform.rpc.errors import RemoteError

from catalog.domain.errors import BookingUnavailable, CapacityBelowTaken
from catalog.domain.event import Event
from catalog.wire import event_to_proto

SHRINK_SECONDS = 3.0
"""Leaves the caller's own deadline of 5 s room to save."""

FOLLOW_SECONDS = 1.0
"""A courtesy that must not hold the organizer up."""

logger = get_logger(__name__)

_UNREACHABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


class BookingStock:
    """The booking service's word on what is taken."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = BookingServiceStub(channel)

    async def shrink(self, event_id: UUID, capacities: Mapping[UUID, int]) -> None:
        """Lower the capacity of each ticket type to the given one, all or none.

        Raises:
            CapacityBelowTaken: more are sold or held than would be left.
            BookingUnavailable: booking does not answer.
        """
        request = ShrinkCapacityRequest(
            event_id=str(event_id),
            ticket_types=[
                TicketTypeCapacity(ticket_type_id=str(ticket_type_id), capacity=capacity)
                for ticket_type_id, capacity in capacities.items()
            ],
        )
        try:
            # Capacities are absolute, so asking twice does no harm.
            await call(self._stub.ShrinkCapacity, request, timeout=SHRINK_SECONDS, idempotent=True)
        except RemoteError as error:
            if error.code == CapacityBelowTaken.code:
                raise CapacityBelowTaken(error.message, error.metadata) from error
            if error.status in _UNREACHABLE:
                raise BookingUnavailable from error
            raise

    async def follow(self, event: Event) -> None:
        """Tell of a saved change at once, ahead of its message; never raises."""
        request = FollowEventRequest(event=event_to_proto(event))
        try:
            await call(self._stub.FollowEvent, request, timeout=FOLLOW_SECONDS)
        except RemoteError as error:
            logger.info("booking will hear by message", event_id=str(event.id), code=error.code)
