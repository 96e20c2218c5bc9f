"""A call for each request: what the coalescer is compared with."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
import pytest
import structlog
from gateway.http.request_context import RequestContext
from gateway.one_by_one import OneByOne
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.rpc.client import WRITE_SECONDS
from goticket_platform.rpc.errors import RemoteError
from opentelemetry import trace

REQUEST = pb.CreateBookingRequest(event_id="e1", idempotency_key="k1")
ANSWER = pb.CreateBookingResponse(booking=pb.Booking(id="b1"))


@dataclass
class Booking:
    """A scripted backend that notes each call; `end` says what becomes of it."""

    end: Callable[[], pb.CreateBookingResponse] = lambda: ANSWER
    requests: list[pb.CreateBookingRequest] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    names: list[dict[str, object]] = field(default_factory=list)
    spans: list[trace.Span] = field(default_factory=list)

    async def one(
        self, request: pb.CreateBookingRequest, timeout: float
    ) -> pb.CreateBookingResponse:
        self.requests.append(request)
        self.timeouts.append(timeout)
        self.names.append(structlog.contextvars.get_contextvars())
        self.spans.append(trace.get_current_span())
        return self.end()


async def test_a_request_goes_out_as_it_came_and_its_answer_comes_back() -> None:
    booking = Booking()
    assert await OneByOne(booking.one).submit(REQUEST, _origin()) is ANSWER
    assert booking.requests == [REQUEST]


async def test_a_refusal_comes_back_as_it_is() -> None:
    refusal = RemoteError(grpc.StatusCode.FAILED_PRECONDITION, "sold_out", "None left.")

    def refuse() -> pb.CreateBookingResponse:
        raise refusal

    with pytest.raises(RemoteError) as caught:
        await OneByOne(Booking(refuse).one).submit(REQUEST, _origin())
    assert caught.value is refusal


async def test_a_call_may_take_as_long_as_was_said() -> None:
    booking = Booking()
    await OneByOne(booking.one, deadline=1.5).submit(REQUEST, _origin())
    await OneByOne(booking.one).submit(REQUEST, _origin())
    assert booking.timeouts == [1.5, WRITE_SECONDS]


async def test_each_call_is_named_after_its_own_request() -> None:
    booking = Booking()
    carrier = OneByOne(booking.one)
    origins = [_origin("r1"), _origin("r2")]
    await asyncio.gather(*(carrier.submit(REQUEST, origin) for origin in origins))
    assert [names["request_id"] for names in booking.names] == ["r1", "r2"]
    assert [names["user_id"] for names in booking.names] == ["ada", "ada"]
    assert booking.spans == [origin.span for origin in origins]


async def test_cancelling_a_request_ends_its_call() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def stuck(_request: pb.CreateBookingRequest, _timeout: float) -> pb.CreateBookingResponse:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ANSWER

    waiting = asyncio.create_task(OneByOne(stuck).submit(REQUEST, _origin()))
    await began.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()


async def test_there_is_always_room() -> None:
    carrier = OneByOne(Booking().one)
    assert carrier.rejection_reason("e1") is None


def _origin(request_id: str = "r1") -> RequestContext:
    return RequestContext(request_id, "ada", trace.NonRecordingSpan(trace.INVALID_SPAN_CONTEXT))
