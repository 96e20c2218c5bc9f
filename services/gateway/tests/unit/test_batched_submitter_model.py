"""The models of batched requests, run over the gateway's use of batching."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import grpc
from gateway.booking_submission.batched_submitter import LIMITS, BatchedSubmitter
from gateway.booking_submission.submitter import Outcome
from gateway.origin import Origin
from gateway.problems import Problem
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.batching import BatchingLimits
from goticket_platform.rpc.errors import RemoteError
from goticket_testing.batching.interleavings import ACTIONS, Action, check_interleaving
from goticket_testing.batching.sequential import SequentialModel
from goticket_testing.batching.subject import Commit, ModelRequest, Use
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.trace import INVALID_SPAN

SMALL = replace(
    LIMITS,
    max_waiting=12,
    max_waiting_per_key=8,
    max_batch_size=4,
    max_in_flight=2,
    max_in_flight_per_key=1,
    solo_threshold=3,
)
PIPELINED = replace(SMALL, pipeline_threshold=3, max_in_flight=4, max_in_flight_per_key=2)
"""A second call of an event is sent as soon as three requests wait."""


class GatewaySubject:
    """The batched submitter in front of a scripted booking service."""

    def __init__(self, commit: Commit, limits: BatchingLimits, clock: Callable[[], float]) -> None:
        self._commit = commit
        self._requests: dict[str, ModelRequest] = {}
        self._submitter = BatchedSubmitter(self._send_one, self._send_many, limits, clock=clock)

    @property
    def waiting(self) -> int:
        return self._submitter.waiting

    @property
    def queues(self) -> int:
        return self._submitter.queues

    async def submit(
        self, requests: Sequence[ModelRequest], _deadline: float
    ) -> list[str | Exception]:
        submitted = [self._submit(request) for request in requests]
        return await asyncio.gather(*submitted)

    async def close(self) -> None:
        await self._submitter.close()

    async def _submit(self, request: ModelRequest) -> str | Exception:
        key = str(request.number)
        self._requests[key] = request
        message = pb.CreateBookingRequest(event_id=str(request.event_id), idempotency_key=key)
        try:
            response = await self._submitter.submit(message, Origin(key, "", INVALID_SPAN))
        except (Problem, RemoteError) as error:
            return error
        return response.booking.id

    async def _send_one(
        self, request: pb.CreateBookingRequest, timeout: float
    ) -> pb.CreateBookingResponse:
        [outcome] = await self._send_many([request], timeout)
        assert not isinstance(outcome, RemoteError)
        return outcome

    async def _send_many(
        self, requests: Sequence[pb.CreateBookingRequest], _timeout: float
    ) -> Sequence[Outcome]:
        batch = [self._requests[request.idempotency_key] for request in requests]
        assert [str(request.event_id) for request in batch] == [one.event_id for one in requests]
        try:
            outcomes = await self._commit(batch)
        except Exception as error:
            raise RemoteError(grpc.StatusCode.UNAVAILABLE, "unavailable", "failed") from error
        return [
            pb.CreateBookingResponse(booking=pb.Booking(id=outcome or "")) for outcome in outcomes
        ]


USES = [
    Use(limits, GatewaySubject, rejections=(Problem, RemoteError), retries=False)
    for limits in (SMALL, PIPELINED)
]


class GatewayModel(SequentialModel):
    uses = USES


GatewayModel.TestCase.settings = settings(max_examples=150, deadline=None)
TestGatewayModel = GatewayModel.TestCase


@given(ACTIONS, st.sampled_from(USES))
@settings(deadline=None, max_examples=200)
def test_any_interleaving_answers_every_request_once_and_in_order(
    actions: list[Action], use: Use
) -> None:
    check_interleaving(actions, use)
