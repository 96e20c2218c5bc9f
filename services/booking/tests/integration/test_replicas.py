"""Two booking servers on one database: retries, batches and overload through gRPC."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import grpc
import pytest
from booking.bootstrap import server
from booking.config import ServeSettings
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1.booking_pb2_grpc import BookingServiceStub
from goticket.catalog.v1 import catalog_pb2
from goticket.common.v1.common_pb2 import Actor
from goticket_platform.ids import new_id
from goticket_platform.rpc.client import call, open_channel
from goticket_platform.rpc.errors import RemoteError

if TYPE_CHECKING:
    from goticket.booking.v1.booking_pb2_grpc import BookingServiceAsyncStub as Booking

RETRIES = 1_000
CALLS = 20


def settings_of(dsn: str, redis_url: str, **more: object) -> ServeSettings:
    return ServeSettings(
        database_url=dsn,
        redis_url=redis_url,
        grpc_listen="127.0.0.1:0",
        catalog_target="127.0.0.1:1",
        ticket_key=bytes(range(32)),
        **more,  # type: ignore[arg-type]  # a shorthand of the test
    )


@pytest.fixture(params=[True, False], ids=["batched", "unbatched"])
async def replicas(
    request: pytest.FixtureRequest, dsn: str, redis_url: str
) -> AsyncIterator[list["Booking"]]:
    async with AsyncExitStack() as stack:
        stubs: list[Booking] = []
        for _ in range(2):
            settings = settings_of(dsn, redis_url, batching=request.param)
            port = await stack.enter_async_context(server(settings))
            channel = await stack.enter_async_context(open_channel(f"127.0.0.1:{port}"))
            stubs.append(BookingServiceStub(channel))
        yield stubs


async def on_sale(
    stub: "Booking", capacity: int = 5_000, max_per_buyer: int = 0
) -> catalog_pb2.Event:
    """Tell booking of an event."""
    kind = catalog_pb2.TicketType(
        id=str(new_id()), name="Floor", price=100, capacity=capacity, max_per_booking=10
    )
    event = catalog_pb2.Event(
        id=str(new_id()),
        organizer_id=str(UUID(int=3)),
        name="Metallica Live",
        currency="EUR",
        status=catalog_pb2.EVENT_STATUS_PUBLISHED,
        version=1,
        ticket_types=[kind],
        max_per_buyer=max_per_buyer,
    )
    event.starts_at.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    event.ends_at.FromDatetime(datetime.now(UTC) + timedelta(days=2))
    await call(stub.FollowEvent, pb.FollowEventRequest(event=event))
    return event


def wish(
    event: catalog_pb2.Event, quantity: int = 1, *, buyer: int = 1, key: str = ""
) -> pb.CreateBookingRequest:
    return pb.CreateBookingRequest(
        actor=Actor(user_id=str(UUID(int=buyer)), email="b@example.com", name="B"),
        event_id=event.id,
        lines=[pb.BookingLine(quantity=quantity)],
        idempotency_key=key,
    )


async def test_a_thousand_retries_of_one_key_make_one_booking_and_equal_answers(
    replicas: list["Booking"], dsn: str
) -> None:
    event = await on_sale(replicas[0])
    batch = pb.BatchCreateBookingsRequest(requests=[wish(event, 2, key="k")] * (RETRIES // CALLS))
    answers = await asyncio.gather(
        *(
            call(replicas[number % 2].BatchCreateBookings, batch, timeout=60)
            for number in range(CALLS)
        )
    )
    results = [result for answer in answers for result in answer.results]
    assert [result for result in results if result.HasField("error")] == []
    assert len(results) == RETRIES
    bookings = {result.created.booking.SerializeToString(deterministic=True) for result in results}
    assert len(bookings) == 1
    assert sum(not result.created.replayed for result in results) == 1
    connection = await asyncpg.connect(dsn)
    counts = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM booking.bookings), (SELECT count(*) FROM booking.tickets),"
        " (SELECT count(*) FROM booking.outbox), (SELECT sum(sold) FROM booking.inventory)"
    )
    await connection.close()
    assert counts is not None
    assert tuple(counts) == (1, 2, 1, 2)


async def test_a_batch_tells_each_what_its_own_call_would(
    replicas: list["Booking"],
) -> None:
    event = await on_sale(replicas[0], capacity=3, max_per_buyer=2)
    unknown = catalog_pb2.Event(id="nonsense")
    wishes = [
        wish(event, 2),
        wish(event, 1),
        wish(event, 0),
        wish(event, 11, buyer=2),
        wish(event, 2, buyer=4),
        wish(unknown),
        wish(event, 1, buyer=2),
    ]
    answer = await call(
        replicas[1].BatchCreateBookings, pb.BatchCreateBookingsRequest(requests=wishes)
    )
    reasons = [
        result.error.reason if result.HasField("error") else "placed" for result in answer.results
    ]
    assert reasons == [
        "placed",
        "max_per_buyer_exceeded",
        "validation_failed",
        "max_per_booking_exceeded",
        "sold_out",
        "event_not_found",
        "placed",
    ]
    for refused, result in zip(wishes[1:6], answer.results[1:6], strict=True):
        with pytest.raises(RemoteError) as caught:
            await call(replicas[0].CreateBooking, refused)
        alone, error = caught.value, result.error
        assert (alone.status.value[0], alone.code) == (error.status, error.reason)
        assert alone.message == error.message
        assert alone.fields == tuple((item.field, item.message) for item in error.fields)
        if alone.code != "sold_out":  # less is left by now
            assert alone.metadata == dict(error.metadata)


async def test_an_answer_of_many_tickets_reaches_its_caller(dsn: str, redis_url: str) -> None:
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(server(settings_of(dsn, redis_url)))
        channel = await stack.enter_async_context(open_channel(f"127.0.0.1:{port}"))
        stub: Booking = BookingServiceStub(channel)
        event = await on_sale(stub, capacity=10_000)
        batch = pb.BatchCreateBookingsRequest(requests=[wish(event, 10)] * 900)
        answer = await call(stub.BatchCreateBookings, batch, timeout=60)
    assert answer.ByteSize() > 4 * 1024 * 1024
    assert sum(len(result.created.booking.tickets) for result in answer.results) == 9_000


async def test_a_hold_is_lengthened_once_through_the_door(
    replicas: list["Booking"],
) -> None:
    event = await on_sale(replicas[0])
    wanted = wish(event)
    wanted.hold = True
    held = (await call(replicas[0].CreateBooking, wanted)).booking
    request = pb.ExtendHoldRequest(actor=wanted.actor, booking_id=held.id)
    longer = (await call(replicas[1].ExtendHold, request)).booking
    assert longer.expires_at.seconds - held.expires_at.seconds == 600
    with pytest.raises(RemoteError) as caught:
        await call(replicas[0].ExtendHold, request)
    assert caught.value.status is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.code == "hold_already_extended"


async def test_a_full_queue_is_a_prompt_busy_while_reads_go_on(dsn: str, redis_url: str) -> None:
    settings = settings_of(dsn, redis_url, queue_per_event=5, batch_size=1)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(server(settings))
        channel = await stack.enter_async_context(open_channel(f"127.0.0.1:{port}"))
        stub: Booking = BookingServiceStub(channel)
        event = await on_sale(stub)
        made = (await call(stub.CreateBooking, wish(event))).booking
        connection = await asyncpg.connect(dsn)
        async with connection.transaction():
            await connection.execute("SELECT * FROM booking.inventory FOR UPDATE")
            calls = [
                asyncio.create_task(call(stub.CreateBooking, wish(event), timeout=20))
                for _ in range(20)
            ]
            refused, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            while len(refused) < 14:
                refused, waiting = await asyncio.wait(calls, timeout=0.05)
            errors = [task.exception() for task in refused]
            assert {getattr(error, "code", None) for error in errors} == {"busy"}
            assert {getattr(error, "status", None) for error in errors} == {
                grpc.StatusCode.UNAVAILABLE
            }
            read = pb.GetBookingRequest(actor=wish(event).actor, booking_id=made.id)
            assert (await call(stub.GetBooking, read)).booking == made
        assert len(waiting) == 6
        for task in waiting:
            assert (await task).booking.id
        await connection.close()
