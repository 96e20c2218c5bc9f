"""Two booking servers on one database: retries, batches and overload through gRPC."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import grpc
import pytest
from booking.application.commands.apply_event import apply_event
from booking.bootstrap import open_bookings, server
from booking.config import ServeSettings
from booking.domain.event import CatalogEvent, Event, EventStatus, TicketTypeOffer
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1.booking_pb2_grpc import BookingServiceStub
from goticket.common.v1.common_pb2 import Actor
from goticket_platform.ids import new_id
from goticket_platform.rpc.client import call
from goticket_platform.rpc.errors import RemoteError
from goticket_testing.rpc_keys import caller_keys, open_service_channel, rpc_key

if TYPE_CHECKING:
    from goticket.booking.v1.booking_pb2_grpc import BookingServiceAsyncStub as Booking

    from services.booking.tests.integration.conftest import SilentAvailability

RETRIES = 1_000
CALLS = 20


def settings_of(dsn: str, redis_url: str, **more: object) -> ServeSettings:
    return ServeSettings(
        database_url=dsn,
        redis_url=redis_url,
        grpc_listen="127.0.0.1:0",
        catalog_target="127.0.0.1:1",
        ticket_key=bytes(range(32)),
        rpc_key=rpc_key("booking"),
        rpc_caller_keys=caller_keys("booking"),
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
            channel = await stack.enter_async_context(open_service_channel(f"127.0.0.1:{port}"))
            stubs.append(BookingServiceStub(channel))
        yield stubs


OpenEvent = Callable[..., Awaitable[str]]


@pytest.fixture
def open_event(dsn: str, silent_availability: "SilentAvailability") -> OpenEvent:
    """Stores an event in booking's database; returns its id."""

    async def store(capacity: int = 5_000, max_per_buyer: int = 0) -> str:
        now = datetime.now(UTC)
        event = Event(
            id=new_id(),
            organizer_id=UUID(int=3),
            name="Metallica Live",
            location="",
            timezone="UTC",
            starts_at=now + timedelta(days=1),
            ends_at=now + timedelta(days=2),
            currency="EUR",
            status=EventStatus.PUBLISHED,
            version=1,
            max_per_buyer=max_per_buyer,
        )
        offers = (TicketTypeOffer(new_id(), "Floor", 100, capacity, 10),)
        async with open_bookings(dsn, silent_availability) as (bookings, _):
            await apply_event(CatalogEvent(event, offers), bookings=bookings)
        return str(event.id)

    return store


def create(
    event_id: str, quantity: int = 1, *, buyer: int = 1, key: str = ""
) -> pb.CreateBookingRequest:
    return pb.CreateBookingRequest(
        actor=Actor(user_id=str(UUID(int=buyer)), email="b@example.com", name="B"),
        event_id=event_id,
        lines=[pb.BookingLine(quantity=quantity)],
        idempotency_key=key,
    )


async def test_a_thousand_retries_of_one_key_create_one_booking_and_return_it(
    replicas: list["Booking"], dsn: str, open_event: OpenEvent
) -> None:
    event = await open_event()
    batch = pb.BatchCreateBookingsRequest(requests=[create(event, 2, key="k")] * (RETRIES // CALLS))
    responses = await asyncio.gather(
        *(
            call(replicas[number % 2].BatchCreateBookings, batch, timeout=60)
            for number in range(CALLS)
        )
    )
    results = [result for response in responses for result in response.results]
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


async def test_a_result_of_a_batch_equals_that_of_a_single_call(
    replicas: list["Booking"], open_event: OpenEvent
) -> None:
    event = await open_event(capacity=3, max_per_buyer=2)
    requests = [
        create(event, 2),
        create(event, 1),
        create(event, 0),
        create(event, 11, buyer=2),
        create(event, 2, buyer=4),
        create("nonsense"),
        create(event, 1, buyer=2),
    ]
    response = await call(
        replicas[1].BatchCreateBookings, pb.BatchCreateBookingsRequest(requests=requests)
    )
    reasons = [
        result.error.reason if result.HasField("error") else "created"
        for result in response.results
    ]
    assert reasons == [
        "created",
        "max_per_buyer_exceeded",
        "validation_failed",
        "max_per_booking_exceeded",
        "sold_out",
        "event_not_found",
        "created",
    ]
    for rejected, result in zip(requests[1:6], response.results[1:6], strict=True):
        with pytest.raises(RemoteError) as caught:
            await call(replicas[0].CreateBooking, rejected)
        single, error = caught.value, result.error
        assert (single.status.value[0], single.code) == (error.status, error.reason)
        assert single.message == error.message
        assert single.fields == tuple((item.field, item.message) for item in error.fields)
        if single.code != "sold_out":  # fewer tickets are available by now
            assert single.metadata == dict(error.metadata)


async def test_a_response_with_many_tickets_reaches_its_caller(
    dsn: str, redis_url: str, open_event: OpenEvent
) -> None:
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(server(settings_of(dsn, redis_url)))
        channel = await stack.enter_async_context(open_service_channel(f"127.0.0.1:{port}"))
        stub: Booking = BookingServiceStub(channel)
        event = await open_event(capacity=10_000)
        batch = pb.BatchCreateBookingsRequest(requests=[create(event, 10)] * 900)
        response = await call(stub.BatchCreateBookings, batch, timeout=60)
    assert response.ByteSize() > 4 * 1024 * 1024
    assert sum(len(result.created.booking.tickets) for result in response.results) == 9_000


async def test_a_hold_is_extended_once(replicas: list["Booking"], open_event: OpenEvent) -> None:
    event = await open_event()
    wanted = create(event)
    wanted.hold = True
    held = (await call(replicas[0].CreateBooking, wanted)).booking
    request = pb.ExtendHoldRequest(actor=wanted.actor, booking_id=held.id)
    longer = (await call(replicas[1].ExtendHold, request)).booking
    assert longer.expires_at.seconds - held.expires_at.seconds == 600
    with pytest.raises(RemoteError) as caught:
        await call(replicas[0].ExtendHold, request)
    assert caught.value.status is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.code == "hold_already_extended"


async def test_a_full_queue_is_busy_at_once_while_reads_continue(
    dsn: str, redis_url: str, open_event: OpenEvent
) -> None:
    settings = settings_of(dsn, redis_url, queue_per_event=5, batch_size=1)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(server(settings))
        channel = await stack.enter_async_context(open_service_channel(f"127.0.0.1:{port}"))
        stub: Booking = BookingServiceStub(channel)
        event = await open_event()
        made = (await call(stub.CreateBooking, create(event))).booking
        connection = await asyncpg.connect(dsn)
        async with connection.transaction():
            await connection.execute("SELECT * FROM booking.inventory FOR UPDATE")
            calls = [
                asyncio.create_task(call(stub.CreateBooking, create(event), timeout=20))
                for _ in range(20)
            ]
            rejected, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            while len(rejected) < 14:
                rejected, waiting = await asyncio.wait(calls, timeout=0.05)
            errors = [task.exception() for task in rejected]
            assert {getattr(error, "code", None) for error in errors} == {"busy"}
            assert {getattr(error, "status", None) for error in errors} == {
                grpc.StatusCode.UNAVAILABLE
            }
            read = pb.GetBookingRequest(actor=create(event).actor, booking_id=made.id)
            assert (await call(stub.GetBooking, read)).booking == made
        assert len(waiting) == 6
        for task in waiting:
            assert (await task).booking.id
        await connection.close()
