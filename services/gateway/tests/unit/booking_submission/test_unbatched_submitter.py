"""A call for each request: the baseline of the batched submitter."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
import pytest
import structlog
from gateway.booking_submission.unbatched_submitter import UnbatchedSubmitter
from gateway.http.request_context import RequestContext
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.rpc.client import WRITE_SECONDS
from goticket_platform.rpc.errors import RemoteError
from opentelemetry import trace

REQUEST = pb.CreateBookingRequest(event_id="e1", idempotency_key="k1")
ANSWER = pb.CreateBookingResponse(booking=pb.Booking(id="b1"))


@dataclass
class Booking:
    """A scripted backend that records each call; `end` returns or raises its result."""

    end: Callable[[], pb.CreateBookingResponse] = lambda: ANSWER
    requests: list[pb.CreateBookingRequest] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    log_contexts: list[dict[str, object]] = field(default_factory=list)
    spans: list[trace.Span] = field(default_factory=list)

    async def one(
        self, request: pb.CreateBookingRequest, timeout: float
    ) -> pb.CreateBookingResponse:
        self.requests.append(request)
        self.timeouts.append(timeout)
        self.log_contexts.append(structlog.contextvars.get_contextvars())
        self.spans.append(trace.get_current_span())
        return self.end()


async def test_a_request_is_sent_unchanged_and_its_answer_is_returned() -> None:
    booking = Booking()
    assert await UnbatchedSubmitter(booking.one).submit(REQUEST, _context()) is ANSWER
    assert booking.requests == [REQUEST]


async def test_an_error_of_booking_is_raised_unchanged() -> None:
    error = RemoteError(grpc.StatusCode.FAILED_PRECONDITION, "sold_out", "None left.")

    def fail() -> pb.CreateBookingResponse:
        raise error

    with pytest.raises(RemoteError) as caught:
        await UnbatchedSubmitter(Booking(fail).one).submit(REQUEST, _context())
    assert caught.value is error


async def test_a_call_has_the_configured_timeout() -> None:
    booking = Booking()
    await UnbatchedSubmitter(booking.one, deadline=1.5).submit(REQUEST, _context())
    await UnbatchedSubmitter(booking.one).submit(REQUEST, _context())
    assert booking.timeouts == [1.5, WRITE_SECONDS]


async def test_each_call_runs_in_the_context_of_its_request() -> None:
    booking = Booking()
    submitter = UnbatchedSubmitter(booking.one)
    contexts = [_context("r1"), _context("r2")]
    await asyncio.gather(*(submitter.submit(REQUEST, context) for context in contexts))
    assert [variables["request_id"] for variables in booking.log_contexts] == ["r1", "r2"]
    assert [variables["user_id"] for variables in booking.log_contexts] == ["ada", "ada"]
    assert booking.spans == [context.span for context in contexts]


async def test_cancelling_a_request_cancels_its_call() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def stuck(_request: pb.CreateBookingRequest, _timeout: float) -> pb.CreateBookingResponse:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ANSWER

    waiting = asyncio.create_task(UnbatchedSubmitter(stuck).submit(REQUEST, _context()))
    await started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()


async def test_no_request_is_rejected() -> None:
    submitter = UnbatchedSubmitter(Booking().one)
    assert submitter.rejection_reason("e1") is None


def _context(request_id: str = "r1") -> RequestContext:
    return RequestContext(request_id, "ada", trace.NonRecordingSpan(trace.INVALID_SPAN_CONTEXT))
