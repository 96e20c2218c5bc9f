"""Asking the booking service to shrink and telling it of changes, over a real channel."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from catalog.adapters.booking import BookingStock
from catalog.domain.actor import Actor
from catalog.domain.create_event import NewEvent, create
from catalog.domain.errors import BookingUnavailable, CapacityBelowTaken
from catalog.domain.event import Event
from catalog.wire import event_to_proto
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.ops import Health
from goticket_platform.rpc.client import open_channel
from goticket_platform.rpc.errors import ErrorTable, RemoteError
from goticket_platform.rpc.server import serve_grpc

EVENT = UUID(int=1)
STANDING, SEATED = UUID(int=2), UUID(int=3)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
SERVICE = pb.DESCRIPTOR.services_by_name["BookingService"].full_name


def make_event() -> Event:
    new = NewEvent(
        name="Metallica Live",
        starts_at=NOW + timedelta(days=1),
        ends_at=NOW + timedelta(days=2),
        price=25000,
        capacity=1000,
    )
    organizer = Actor(UUID(int=7), frozenset({"user", "organizer"}))
    return create(new, organizer, NOW, uuid4).event


class Refused(Exception):
    """Refuses with the code it is given."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Refused: {code}.")
        self.code = code


class ScriptedBooking:
    """The calls of the booking service that the catalog makes."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.asked: list[pb.ShrinkCapacityRequest] = []
        self.followed: list[pb.FollowEventRequest] = []

    async def shrink(
        self, request: pb.ShrinkCapacityRequest, context: object
    ) -> pb.ShrinkCapacityResponse:
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        return pb.ShrinkCapacityResponse()

    async def follow(
        self, request: pb.FollowEventRequest, context: object
    ) -> pb.FollowEventResponse:
        self.followed.append(request)
        if self.refusal is not None:
            raise self.refusal
        return pb.FollowEventResponse()

    def register(self, server: grpc.aio.Server) -> None:
        shrink = grpc.unary_unary_rpc_method_handler(
            self.shrink,
            request_deserializer=pb.ShrinkCapacityRequest.FromString,
            response_serializer=pb.ShrinkCapacityResponse.SerializeToString,
        )
        follow = grpc.unary_unary_rpc_method_handler(
            self.follow,
            request_deserializer=pb.FollowEventRequest.FromString,
            response_serializer=pb.FollowEventResponse.SerializeToString,
        )
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "ShrinkCapacity": shrink,
            "FollowEvent": follow,
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


@asynccontextmanager
async def stock_of(booking: ScriptedBooking) -> AsyncIterator[BookingStock]:
    table = ErrorTable("booking.goticket", {Refused: grpc.StatusCode.FAILED_PRECONDITION})
    async with (
        serve_grpc("127.0.0.1:0", table, booking.register, [SERVICE], Health()) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield BookingStock(channel)


async def test_booking_is_asked_for_every_ticket_type_at_once() -> None:
    booking = ScriptedBooking()
    async with stock_of(booking) as stock:
        await stock.shrink(EVENT, {STANDING: 5, SEATED: 0})

    (request,) = booking.asked
    assert request.event_id == str(EVENT)
    asked = {item.ticket_type_id: item.capacity for item in request.ticket_types}
    assert asked == {str(STANDING): 5, str(SEATED): 0}


async def test_a_capacity_below_what_is_taken_is_refused_with_bookings_words() -> None:
    async with stock_of(ScriptedBooking(Refused("capacity_below_taken"))) as stock:
        with pytest.raises(CapacityBelowTaken, match=r"Refused: capacity_below_taken\."):
            await stock.shrink(EVENT, {STANDING: 5})


async def test_a_booking_service_that_is_away_is_named_as_such() -> None:
    async with open_channel("127.0.0.1:1") as channel:
        with pytest.raises(BookingUnavailable):
            await BookingStock(channel).shrink(EVENT, {STANDING: 5})


async def test_a_booking_service_that_loses_its_database_counts_as_away() -> None:
    async with stock_of(ScriptedBooking(ConnectionResetError())) as stock:
        with pytest.raises(BookingUnavailable):
            await stock.shrink(EVENT, {STANDING: 5})


async def test_any_other_failure_is_not_hidden() -> None:
    async with stock_of(ScriptedBooking(Refused("surprise"))) as stock:
        with pytest.raises(RemoteError):
            await stock.shrink(EVENT, {STANDING: 5})


async def test_booking_is_told_of_the_whole_event() -> None:
    booking = ScriptedBooking()
    event = make_event()
    async with stock_of(booking) as stock:
        await stock.follow(event)

    (request,) = booking.followed
    assert request.event == event_to_proto(event)


async def test_telling_a_booking_service_that_refuses_or_is_away_is_no_failure() -> None:
    booking = ScriptedBooking(Refused("busy"))
    async with stock_of(booking) as stock:
        await stock.follow(make_event())
    assert len(booking.followed) == 1
    async with open_channel("127.0.0.1:1") as channel:
        await BookingStock(channel).follow(make_event())
