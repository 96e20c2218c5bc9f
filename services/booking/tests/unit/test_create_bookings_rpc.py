"""Many requests in one call: their order and their results."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import grpc
import pytest
from booking.application.booking_context import BookingResult, CreatedBooking
from booking.domain.booking import Booking, BookingStatus
from booking.domain.booking_creation import CreateBookingCommand
from booking.domain.errors import InvalidBooking, SoldOut
from booking.domain.event import Event, EventStatus
from booking.entrypoints.create_bookings import (
    MAX_REQUESTS,
    batch_create_bookings,
    create_booking,
)
from goticket.booking.v1 import booking_pb2 as pb
from goticket.common.v1.common_pb2 import Actor

NOW = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
ONE, OTHER, NOT_AN_ID = UUID(int=1), UUID(int=2), "nonsense"
EVENT = Event(
    ONE, UUID(int=9), "E", "", "UTC", NOW, NOW + timedelta(hours=1), "EUR", EventStatus.PUBLISHED, 1
)


class ScriptedSubmitter:
    """Decides by quantity: 1 is granted, 2 sold out, 3 a lost connection, 4 a bug."""

    def __init__(self) -> None:
        self.submitted: list[tuple[UUID, int]] = []

    async def submit(
        self, commands: Sequence[CreateBookingCommand], deadline: float
    ) -> list[BookingResult]:
        self.submitted += [(each.event_id, each.lines[0].quantity) for each in commands]
        return [self._decide(each) for each in commands]

    def _decide(self, command: CreateBookingCommand) -> BookingResult:
        match command.lines[0].quantity:
            case 1:
                booking = Booking(
                    uuid4(),
                    command.event_id,
                    command.buyer.user_id,
                    "",
                    "",
                    BookingStatus.CONFIRMED,
                    (),
                    (),
                    "EUR",
                    1,
                    NOW,
                )
                return CreatedBooking(booking, replace(EVENT, id=command.event_id))
            case 2:
                return SoldOut(metadata={"available": "0"})
            case 3:
                return ConnectionResetError()
            case _:
                return ZeroDivisionError()


def request(event_id: object, quantity: int, buyer: int = 1) -> pb.CreateBookingRequest:
    return pb.CreateBookingRequest(
        actor=Actor(user_id=str(UUID(int=buyer))),
        event_id=str(event_id),
        lines=[pb.BookingLine(quantity=quantity)],
    )


async def test_results_and_commands_are_in_the_order_of_the_requests() -> None:
    submitter = ScriptedSubmitter()
    requests = [
        request(ONE, 2),
        request(OTHER, 1, 7),
        request(ONE, 1, 8),
        request(OTHER, 2),
        request(ONE, 1, 9),
    ]
    results = (await batch_create_bookings(requests, submitter, 0)).results
    assert [result.WhichOneof("outcome") for result in results] == [
        "error",
        "created",
        "created",
        "error",
        "created",
    ]
    buyers = [result.created.booking.user_id for result in results if result.HasField("created")]
    assert buyers == [str(UUID(int=number)) for number in (7, 8, 9)]
    assert submitter.submitted == [(ONE, 2), (OTHER, 1), (ONE, 1), (OTHER, 2), (ONE, 1)]


async def test_a_request_that_fails_does_not_affect_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    invalid = request(ONE, 1)
    invalid.actor.user_id = "not-an-id"
    requests = [
        request(NOT_AN_ID, 1),
        invalid,
        request(ONE, 3),
        request(ONE, 4),
        request(ONE, 2),
        request(ONE, 1),
    ]
    *failed, granted = (await batch_create_bookings(requests, ScriptedSubmitter(), 0)).results
    errors = [(result.error.status, result.error.reason) for result in failed]
    status = grpc.StatusCode
    assert errors == [
        (status.NOT_FOUND.value[0], "event_not_found"),
        (status.INVALID_ARGUMENT.value[0], "validation_failed"),
        (status.UNAVAILABLE.value[0], "unavailable"),
        (status.INTERNAL.value[0], "internal"),
        (status.RESOURCE_EXHAUSTED.value[0], "sold_out"),
    ]
    assert [field.field for field in failed[1].error.fields] == ["actor.userId"]
    assert dict(failed[4].error.metadata) == {"available": "0"}
    assert failed[4].error.message == str(SoldOut())
    assert granted.HasField("created")


async def test_a_single_call_raises_the_error_of_a_batch_result() -> None:
    submitter = ScriptedSubmitter()
    with pytest.raises(SoldOut):
        await create_booking(request(ONE, 2), submitter, 0)
    with pytest.raises(ConnectionResetError):
        await create_booking(request(ONE, 3), submitter, 0)
    response = await create_booking(request(ONE, 1), submitter, 0)
    assert response.booking.event_id == str(ONE)


async def test_a_batch_has_a_limit_and_may_be_empty() -> None:
    with pytest.raises(InvalidBooking):
        await batch_create_bookings([request(ONE, 1)] * (MAX_REQUESTS + 1), ScriptedSubmitter(), 0)
    assert not (await batch_create_bookings([], ScriptedSubmitter(), 0)).results
