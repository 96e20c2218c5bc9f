"""Shrinking capacities in the booking service, over a real gRPC channel."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import grpc
import pytest
from catalog.adapters.booking_inventory import BookingInventory
from catalog.domain.errors import BookingUnavailable, CapacityBelowTaken
from goticket.booking.v1 import booking_pb2 as pb
from goticket_kernel.errors import DomainError
from goticket_platform.ops import Health
from goticket_platform.rpc.client import open_channel
from goticket_platform.rpc.errors import ErrorTable, RemoteError
from goticket_platform.rpc.server import serve_grpc

EVENT = UUID(int=1)
STANDING, SEATED = UUID(int=2), UUID(int=3)
SERVICE = pb.DESCRIPTOR.services_by_name["BookingService"].full_name


class TooSmall(DomainError):
    """Five tickets are sold."""

    code = "capacity_below_taken"


class Unexpected(DomainError):
    """The capacity cannot shrink for another reason."""

    code = "unexpected"


class FakeBookingService:
    """The only call of the booking service that the catalog makes."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.requests: list[pb.ShrinkCapacityRequest] = []

    async def shrink_capacity(
        self, request: pb.ShrinkCapacityRequest, context: object
    ) -> pb.ShrinkCapacityResponse:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        return pb.ShrinkCapacityResponse()

    def register(self, server: grpc.aio.Server) -> None:
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "ShrinkCapacity": grpc.unary_unary_rpc_method_handler(
                self.shrink_capacity,
                request_deserializer=pb.ShrinkCapacityRequest.FromString,
                response_serializer=pb.ShrinkCapacityResponse.SerializeToString,
            )
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


@asynccontextmanager
async def inventory_of(booking: FakeBookingService) -> AsyncIterator[BookingInventory]:
    table = ErrorTable("booking.goticket", {DomainError: grpc.StatusCode.FAILED_PRECONDITION})
    async with (
        serve_grpc(
            "127.0.0.1:0", table, booking.register, [SERVICE], Health(), verifier=None
        ) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield BookingInventory(channel)


async def test_one_call_shrinks_every_ticket_type() -> None:
    booking = FakeBookingService()
    async with inventory_of(booking) as inventory:
        await inventory.shrink(EVENT, {STANDING: 5, SEATED: 0})

    (request,) = booking.requests
    assert request.event_id == str(EVENT)
    capacities = {item.ticket_type_id: item.capacity for item in request.ticket_types}
    assert capacities == {str(STANDING): 5, str(SEATED): 0}


async def test_a_capacity_below_the_taken_tickets_is_rejected_with_bookings_message() -> None:
    error = TooSmall(metadata={"taken": "5"})
    async with inventory_of(FakeBookingService(error)) as inventory:
        with pytest.raises(CapacityBelowTaken, match=r"Five tickets are sold\.") as raised:
            await inventory.shrink(EVENT, {STANDING: 4})
    assert raised.value.metadata == {"taken": "5"}


async def test_an_unreachable_booking_service_is_unavailable() -> None:
    async with open_channel("127.0.0.1:1") as channel:
        with pytest.raises(BookingUnavailable):
            await BookingInventory(channel).shrink(EVENT, {STANDING: 5})


async def test_a_booking_service_without_its_database_is_unavailable() -> None:
    async with inventory_of(FakeBookingService(ConnectionResetError())) as inventory:
        with pytest.raises(BookingUnavailable):
            await inventory.shrink(EVENT, {STANDING: 5})


async def test_any_other_error_is_raised_unchanged() -> None:
    async with inventory_of(FakeBookingService(Unexpected())) as inventory:
        with pytest.raises(RemoteError) as raised:
            await inventory.shrink(EVENT, {STANDING: 5})
    assert raised.value.code == Unexpected.code
