"""A batch is sent without the requests that a rate limit refuses."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from gateway.booking_submission.batched_submitter import BatchedSubmitter
from gateway.http.problems import Problem
from gateway.http.request_context import RequestContext
from gateway.rate_limits.charged_request import ChargedRequest
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.rpc.errors import RemoteError
from opentelemetry import trace

CONTEXT = RequestContext("r1", "ada", trace.NonRecordingSpan(trace.INVALID_SPAN_CONTEXT))
GRANTED = pb.CreateBookingResponse(booking=pb.Booking(id="b1"))


class Booking:
    """Grants everything, and records the idempotency keys of each call."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    async def one(self, request: pb.CreateBookingRequest, _t: float) -> pb.CreateBookingResponse:
        self.calls.append([request.idempotency_key])
        return GRANTED

    async def many(
        self, requests: Sequence[pb.CreateBookingRequest], _timeout: float
    ) -> Sequence[pb.CreateBookingResponse]:
        self.calls.append([request.idempotency_key for request in requests])
        return [GRANTED] * len(requests)


class Limits:
    """Refuses the requests at these positions, or fails."""

    def __init__(self, *refused: int, error: Exception | None = None) -> None:
        self.refused = refused
        self.error = error
        self.sizes: list[int] = []

    async def admit(self, requests: Sequence[ChargedRequest]) -> Sequence[Problem | None]:
        await asyncio.sleep(0)
        self.sizes.append(len(requests))
        if self.error:
            raise self.error
        return [
            Problem("rate_limited") if n in self.refused else None for n in range(len(requests))
        ]


async def book(booking: Booking, limits: Limits, *keys: str) -> list[Any]:
    submitter = BatchedSubmitter(booking.one, booking.many, admit=limits.admit)
    charged = ChargedRequest((), cast("Any", None))
    outcomes = await asyncio.gather(
        *(
            submitter.submit(
                pb.CreateBookingRequest(event_id="e1", idempotency_key=key),
                CONTEXT,
                charged=charged,
            )
            for key in keys
        ),
        return_exceptions=True,
    )
    await submitter.close()
    return outcomes


async def test_a_refused_request_is_not_sent_and_the_others_are() -> None:
    booking, limits = Booking(), Limits(1)
    outcomes = await book(booking, limits, "a", "b", "c")
    assert limits.sizes == [3]
    assert booking.calls == [["a", "c"]]
    assert outcomes[0] == outcomes[2] == GRANTED
    assert isinstance(outcomes[1], Problem)
    assert outcomes[1].code == "rate_limited"


async def test_a_batch_of_refused_requests_is_not_sent() -> None:
    booking = Booking()
    outcomes = await book(booking, Limits(0, 1), "a", "b")
    assert [outcome.code for outcome in outcomes] == ["rate_limited"] * 2
    assert booking.calls == []


async def test_one_request_is_charged_too() -> None:
    booking = Booking()
    [outcome] = await book(booking, Limits(0), "a")
    assert outcome.code == "rate_limited"
    assert booking.calls == []


async def test_a_failure_of_the_limits_fails_the_batch_and_nothing_is_sent() -> None:
    booking = Booking()
    outcomes = await book(booking, Limits(error=RuntimeError("defect")), "a", "b")
    assert booking.calls == []
    for outcome in outcomes:
        assert isinstance(outcome, RemoteError)
        assert outcome.code == "internal"


async def test_a_request_that_is_cancelled_while_it_is_charged_is_not_sent() -> None:
    booking, charging, go_on = Booking(), asyncio.Event(), asyncio.Event()

    async def admit(requests: Sequence[ChargedRequest]) -> Sequence[Problem | None]:
        charging.set()
        await go_on.wait()
        return [None] * len(requests)

    submitter = BatchedSubmitter(booking.one, booking.many, admit=admit)
    charged = ChargedRequest((), cast("Any", None))
    tasks = [
        asyncio.ensure_future(
            submitter.submit(
                pb.CreateBookingRequest(event_id="e1", idempotency_key=key),
                CONTEXT,
                charged=charged,
            )
        )
        for key in ("leaves", "stays")
    ]
    await charging.wait()
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    go_on.set()
    assert await tasks[1] == GRANTED
    assert booking.calls == [["stays"]]
    await submitter.close()
