"""Many requests in one call: their order, and what each of them is told."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import grpc
import pytest
from booking.application.place_bookings import Answered, Asked
from booking.application.place_orders import Placed
from booking.domain.booking import Booking, BookingStatus
from booking.domain.errors import InvalidBooking, SoldOut
from booking.domain.event import Event, EventStatus
from booking.domain.placing import BookingRequest
from booking.entrypoints.batch import MAX_REQUESTS, create_booking, create_bookings
from goticket.booking.v1 import booking_pb2 as pb
from goticket.common.v1.common_pb2 import Actor

NOW = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
ONE, OTHER, UNKNOWN_TO_ALL = UUID(int=1), UUID(int=2), "nonsense"
EVENT = Event(
    ONE, UUID(int=9), "E", "", "UTC", NOW, NOW + timedelta(hours=1), "EUR", EventStatus.PUBLISHED, 1
)


class ScriptedSubmitter:
    """Decides by quantity: 1 is granted, 2 sold out, 3 a lost connection, 4 a bug."""

    def __init__(self) -> None:
        self.submitted: list[tuple[UUID, int]] = []

    async def submit(self, requests: Sequence[Asked], deadline: float) -> list[Answered]:
        self.submitted += [(event_id, request.lines[0].quantity) for event_id, request in requests]
        return [self._answer(event_id, request) for event_id, request in requests]

    def _answer(self, event_id: UUID, request: BookingRequest) -> Answered:
        match request.lines[0].quantity:
            case 1:
                buyer = request.buyer
                status = BookingStatus.CONFIRMED
                booking = Booking(
                    uuid4(), event_id, buyer.user_id, "", "", status, (), (), "EUR", 1, NOW
                )
                return Placed(booking, replace(EVENT, id=event_id))
            case 2:
                return SoldOut(metadata={"available": "0"})
            case 3:
                return ConnectionResetError()
            case _:
                return ZeroDivisionError()


def wish(event_id: object, quantity: int, buyer: int = 1) -> pb.CreateBookingRequest:
    return pb.CreateBookingRequest(
        actor=Actor(user_id=str(UUID(int=buyer))),
        event_id=str(event_id),
        lines=[pb.BookingLine(quantity=quantity)],
    )


async def test_results_come_in_the_order_of_the_requests_and_events_keep_theirs() -> None:
    submitter = ScriptedSubmitter()
    wishes = [wish(ONE, 2), wish(OTHER, 1, 7), wish(ONE, 1, 8), wish(OTHER, 2), wish(ONE, 1, 9)]
    results = (await create_bookings(wishes, submitter, 0)).results
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


async def test_what_cannot_be_read_or_fails_fails_no_neighbour(
    caplog: pytest.LogCaptureFixture,
) -> None:
    nobody = wish(ONE, 1)
    nobody.actor.user_id = "nobody"
    wishes = [wish(UNKNOWN_TO_ALL, 1), nobody, wish(ONE, 3), wish(ONE, 4), wish(ONE, 2)]
    *failed, granted = (
        await create_bookings([*wishes, wish(ONE, 1)], ScriptedSubmitter(), 0)
    ).results
    told = [(result.error.status, result.error.reason) for result in failed]
    status = grpc.StatusCode
    assert told == [
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


async def test_a_call_of_its_own_raises_what_a_batch_tells() -> None:
    with pytest.raises(SoldOut):
        await create_booking(wish(ONE, 2), ScriptedSubmitter(), 0)
    with pytest.raises(ConnectionResetError):
        await create_booking(wish(ONE, 3), ScriptedSubmitter(), 0)
    assert (await create_booking(wish(ONE, 1), ScriptedSubmitter(), 0)).booking.event_id == str(ONE)


async def test_a_batch_has_a_limit_and_may_be_empty() -> None:
    with pytest.raises(InvalidBooking):
        await create_bookings([wish(ONE, 1)] * (MAX_REQUESTS + 1), ScriptedSubmitter(), 0)
    assert not (await create_bookings([], ScriptedSubmitter(), 0)).results
