"""Reading bookings from a real gRPC server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import pytest
from goticket.booking.v1.notification_data_pb2 import BookingDetails
from goticket_platform.rpc.assertions import AssertionSigner
from goticket_platform.rpc.client import open_channel
from goticket_platform.rpc.errors import RemoteError
from goticket_platform.telemetry import tracer
from goticket_testing.rpc_keys import open_service_channel, rpc_key
from notification.booking_details import (
    MAX_BATCH_SIZE,
    BookingDetailsClient,
    BookingKey,
    BookingNotFound,
    BookingServiceUnavailable,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

# Defined in conftest.py; test folders are not packages to import from.
ScriptedBookingService = Any
MakeDetails = Callable[..., BookingDetails]


@pytest.fixture
async def client(
    booking_service: ScriptedBookingService,
) -> AsyncIterator[BookingDetailsClient]:
    async with open_service_channel(booking_service.target) as channel:
        yield BookingDetailsClient(channel)


def key_of(details: BookingDetails) -> BookingKey:
    return BookingKey(UUID(details.event.id), UUID(details.booking.id))


async def test_requests_at_the_same_time_share_a_call(
    booking_service: ScriptedBookingService, client: BookingDetailsClient, make_details: MakeDetails
) -> None:
    known = [make_details() for _ in range(10)]
    booking_service.add(*known)

    found = await asyncio.gather(*(client.get(key_of(details)) for details in known))

    assert found == known
    assert booking_service.batch_sizes == [10]


async def test_a_call_has_no_more_bookings_than_the_service_allows(
    booking_service: ScriptedBookingService, client: BookingDetailsClient, make_details: MakeDetails
) -> None:
    known = [make_details(tickets=1) for _ in range(MAX_BATCH_SIZE + 1)]
    booking_service.add(*known)

    await asyncio.gather(*(client.get(key_of(details)) for details in known))

    assert sorted(booking_service.batch_sizes) == [1, MAX_BATCH_SIZE]


async def test_an_unknown_booking_fails_alone(
    booking_service: ScriptedBookingService, client: BookingDetailsClient, make_details: MakeDetails
) -> None:
    known, unknown = make_details(), make_details()
    booking_service.add(known)

    found, missing = await asyncio.gather(
        client.get(key_of(known)), client.get(key_of(unknown)), return_exceptions=True
    )

    assert found == known
    assert isinstance(missing, BookingNotFound)


async def test_a_booking_that_cannot_be_read_fails_alone(
    booking_service: ScriptedBookingService, client: BookingDetailsClient, make_details: MakeDetails
) -> None:
    known, unreadable = make_details(), make_details()
    booking_service.add(known, unreadable)
    booking_service.unreadable.add(unreadable.booking.id)

    found, failed = await asyncio.gather(
        client.get(key_of(known)), client.get(key_of(unreadable)), return_exceptions=True
    )

    assert found == known
    assert isinstance(failed, RemoteError)


async def test_nothing_is_cached(
    booking_service: ScriptedBookingService, client: BookingDetailsClient, make_details: MakeDetails
) -> None:
    details = make_details()
    booking_service.add(details)
    await client.get(key_of(details))
    cancelled = booking_service.cancel(details)

    assert await client.get(key_of(details)) == cancelled


async def test_a_cancelled_request_does_not_fail_the_others(
    booking_service: ScriptedBookingService, client: BookingDetailsClient, make_details: MakeDetails
) -> None:
    known = [make_details() for _ in range(3)]
    booking_service.add(*known)
    booking_service.may_answer.clear()
    tasks = [asyncio.create_task(client.get(key_of(details))) for details in known]
    await asyncio.wait_for(booking_service.call_received.wait(), 30)

    tasks[0].cancel()
    booking_service.may_answer.set()

    assert await asyncio.gather(*tasks[1:]) == known[1:]


async def test_a_wrong_key_is_an_outage_and_not_the_messages_fault(
    booking_service: ScriptedBookingService, make_details: MakeDetails
) -> None:
    wrong = AssertionSigner("notification", rpc_key("gateway"))
    async with open_channel(booking_service.target, wrong) as channel:
        client = BookingDetailsClient(channel)
        with pytest.raises(BookingServiceUnavailable, match="call_refused"):
            await client.get(key_of(make_details()))


async def test_the_call_is_a_named_span_of_the_callers_trace(
    booking_service: ScriptedBookingService,
    client: BookingDetailsClient,
    make_details: MakeDetails,
    spans: InMemorySpanExporter,
) -> None:
    details = make_details()
    booking_service.add(details)

    with tracer.start_as_current_span("handler") as handler:
        await client.get(key_of(details))

    names = {span.name: span for span in spans.get_finished_spans()}
    call = names["goticket.booking.v1.NotificationDataService/BatchGetBookingDetails"]
    assert call.context is not None
    assert call.context.trace_id == handler.get_span_context().trace_id
