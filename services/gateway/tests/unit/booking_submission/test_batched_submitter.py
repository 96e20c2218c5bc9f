"""The batched submitter: every request is answered, order is kept, queues are bounded."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

import grpc
import pytest
import structlog
from gateway.booking_submission.batched_submitter import LIMITS, BatchedSubmitter
from gateway.booking_submission.submitter import Outcome
from gateway.http.problems import Problem
from gateway.http.request_context import RequestContext
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.batching import BatchingLimits, Entry
from goticket_platform.rpc.errors import RemoteError
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SMALL = replace(
    LIMITS,
    max_waiting=12,
    max_waiting_per_key=8,
    max_batch_size=4,
    max_in_flight=2,
    solo_threshold=3,
    pipeline_threshold=100,
)
PIPELINED = replace(SMALL, pipeline_threshold=3, max_in_flight=4, max_in_flight_per_key=2)
"""A second call of an event is sent as soon as three requests wait."""


@dataclass(eq=False)
class Call:
    """A call in flight: the keys of its requests, and how it will end."""

    requests: Sequence[pb.CreateBookingRequest]
    timeout: float
    end: asyncio.Future[Sequence[Outcome]]
    request_id: str
    """The request id in the log context of the call."""

    @property
    def keys(self) -> list[str]:
        return [request.idempotency_key for request in self.requests]

    def answer(self) -> None:
        """Grant every request, except those whose key contains "reject"."""
        if not self.end.done():
            self.end.set_result([_outcome(request) for request in self.requests])

    def fail(self, error: Exception) -> None:
        if not self.end.done():
            self.end.set_exception(error)


@dataclass
class Booking:
    """A scripted backend: calls are in flight until the test ends them."""

    calls: list[Call] = field(default_factory=list)
    now: float = 0.0

    async def one(
        self, request: pb.CreateBookingRequest, timeout: float
    ) -> pb.CreateBookingResponse:
        (outcome,) = await self.many([request], timeout)
        if isinstance(outcome, RemoteError):
            raise outcome
        return outcome

    async def many(
        self, requests: Sequence[pb.CreateBookingRequest], timeout: float
    ) -> Sequence[Outcome]:
        end: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
        variables = structlog.contextvars.get_contextvars()
        call = Call(requests, timeout, end, variables.get("request_id", ""))
        self.calls.append(call)
        return await end

    @property
    def in_flight(self) -> list[Call]:
        return [call for call in self.calls if not call.end.done()]


def _outcome(request: pb.CreateBookingRequest) -> Outcome:
    if "reject" in request.idempotency_key:
        return rejection(request.idempotency_key)
    return pb.CreateBookingResponse(booking=pb.Booking(id=request.idempotency_key))


def rejection(text: str = "No.") -> RemoteError:
    return RemoteError(grpc.StatusCode.RESOURCE_EXHAUSTED, "sold_out", text)


def request_for(key: str, event: str = "hot") -> pb.CreateBookingRequest:
    return pb.CreateBookingRequest(event_id=event, idempotency_key=key)


def context_of(key: str) -> RequestContext:
    return RequestContext(key, "", trace.get_current_span())


class Clients:
    """Callers in tasks of their own."""

    def __init__(self, submitter: BatchedSubmitter) -> None:
        self.submitter = submitter
        self.tasks: dict[str, asyncio.Task[pb.CreateBookingResponse]] = {}

    async def submit(
        self, *keys: str, event: str = "hot", is_disconnected: Callable[[], bool] | None = None
    ) -> None:
        """Submit requests one after the other; let tasks run after each."""
        for key in keys:
            await self.submit_together(key, event=event, is_disconnected=is_disconnected)

    async def submit_together(
        self, *keys: str, event: str = "hot", is_disconnected: Callable[[], bool] | None = None
    ) -> None:
        """Submit requests in the same turn of the loop."""
        for key in keys:
            submitted = self.submitter.submit(
                request_for(key, event), context_of(key), is_disconnected
            )
            self.tasks[key] = asyncio.create_task(submitted)
        await settled()

    def result(self, key: str) -> str:
        """Return the id of the booking made, or the code of the error."""
        task = self.tasks[key]
        assert task.done(), key
        error = task.exception()
        if isinstance(error, RemoteError | Problem):
            return error.code
        assert error is None
        return task.result().booking.id


async def settled() -> None:
    """Let every task run until it waits for the backend."""
    for _ in range(12):
        await asyncio.sleep(0)


@pytest.fixture
def booking() -> Booking:
    return Booking()


@pytest.fixture
async def clients(booking: Booking) -> AsyncIterator[Clients]:
    async with open_clients(booking, SMALL) as clients:
        yield clients


@contextlib.asynccontextmanager
async def open_clients(booking: Booking, limits: BatchingLimits) -> AsyncIterator[Clients]:
    submitter = BatchedSubmitter(booking.one, booking.many, limits, clock=lambda: booking.now)
    clients = Clients(submitter)
    yield clients
    await submitter.close()
    for task in clients.tasks.values():
        task.cancel()
    await asyncio.gather(*clients.tasks.values(), return_exceptions=True)


async def test_an_idle_gateway_sends_at_once_and_batches_requests_during_the_call(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit("a", "b", "c", "d")
    assert [call.keys for call in booking.in_flight] == [["a"]]
    booking.calls[0].answer()
    await settled()
    assert clients.result("a") == "a"
    assert [call.keys for call in booking.in_flight] == [["b", "c", "d"]]
    booking.calls[1].answer()
    await settled()
    assert [clients.result(key) for key in "bcd"] == ["b", "c", "d"]


async def test_requests_of_the_same_turn_of_the_loop_are_sent_together(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit_together("a", "b", "c")
    assert [call.keys for call in booking.in_flight] == [["a", "b", "c"]]


async def test_a_further_call_is_sent_at_the_pipeline_threshold(
    booking: Booking,
) -> None:
    async with open_clients(booking, PIPELINED) as clients:
        await clients.submit(*"abcde")
        assert [call.keys for call in booking.in_flight] == [["a"]]  # its duration is not known yet
        booking.now += 0.1
        booking.calls[0].answer()
        await settled()
        await clients.submit("f", "g")
        assert [call.keys for call in booking.in_flight] == [[*"bcde"]]
        await clients.submit("h")
        assert [call.keys for call in booking.in_flight] == [[*"bcde"], [*"fgh"]]
        await clients.submit(*"ijkl")
        assert len(booking.in_flight) == PIPELINED.max_in_flight_per_key < PIPELINED.max_in_flight
        booking.calls[2].answer()
        await settled()
        assert booking.in_flight[-1].keys == [*"ijkl"]


async def test_no_further_call_is_sent_while_calls_are_slow(
    booking: Booking,
) -> None:
    async with open_clients(booking, PIPELINED) as clients:
        await clients.submit(*"ab")
        booking.now += 1.5
        booking.calls[0].answer()
        await settled()
        assert [call.keys for call in booking.in_flight] == [["b"]]
        # Behind a call of 1.5 seconds their call would complete after three, and time out.
        await clients.submit(*"cdef")
        assert len(booking.in_flight) == 1
        booking.now += 1.5
        booking.calls[1].answer()
        await settled()
        assert [call.keys for call in booking.in_flight] == [[*"cdef"]]


async def test_a_further_call_is_sent_after_the_stall_timeout(booking: Booking) -> None:
    async with open_clients(booking, PIPELINED) as clients:
        await clients.submit(*"abcd")
        assert [call.keys for call in booking.in_flight] == [["a"]]
        booking.now += PIPELINED.stall_timeout
        await clients.submit("e")
        assert [call.keys for call in booking.in_flight] == [["a"], [*"bcde"]]


async def test_a_ready_queue_that_has_become_slow_is_not_dispatched(
    booking: Booking,
) -> None:
    async with open_clients(
        booking, replace(PIPELINED, max_in_flight=2, stall_timeout=9.0)
    ) as clients:
        await clients.submit("a")
        booking.now += 0.1
        booking.calls[0].answer()
        await settled()
        await clients.submit("b")
        await clients.submit("x", event="other")
        await clients.submit(*"cde")  # at the threshold behind a quick call, but no call is free
        booking.now += 2.5
        booking.calls[2].answer()  # that of the other event; meanwhile "b" has become slow
        await settled()
        assert [call.keys for call in booking.in_flight] == [["b"]]
        booking.calls[1].answer()
        await settled()
        assert [call.keys for call in booking.in_flight] == [[*"cde"]]


async def test_a_call_contains_at_most_a_batch_and_the_rest_follows_in_order(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit(*"abcdefg")
    while booking.in_flight:
        booking.in_flight[0].answer()
        await settled()
    assert [call.keys for call in booking.calls] == [["a"], [*"bcde"], ["f", "g"]]


async def test_each_request_gets_its_own_outcome(booking: Booking, clients: Clients) -> None:
    await clients.submit("a", "b", "reject", "c")
    booking.calls[0].answer()
    await settled()
    booking.calls[1].answer()
    await settled()
    assert [clients.result(key) for key in ("b", "reject", "c")] == ["b", "sold_out", "c"]


async def test_a_failed_call_fails_its_requests_and_no_other(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit("a", "b", "c")
    booking.calls[0].fail(RemoteError(grpc.StatusCode.UNAVAILABLE, "unavailable", "away"))
    await settled()
    assert clients.result("a") == "unavailable"
    await clients.submit("d")
    booking.calls[1].fail(RuntimeError("a bug"))
    await settled()
    assert [clients.result(key) for key in "bc"] == ["internal", "internal"]
    booking.calls[2].answer()
    await settled()
    assert clients.result("d") == "d"


async def test_a_wrong_number_of_outcomes_fails_all_requests_of_the_call(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit("a", "b", "c")
    booking.calls[0].answer()
    await settled()
    booking.calls[1].end.set_result([pb.CreateBookingResponse()])
    await settled()
    assert [clients.result(key) for key in "bc"] == ["internal", "internal"]


async def test_a_slow_event_does_not_delay_others(booking: Booking, clients: Clients) -> None:
    await clients.submit("slow", "slow-2", "slow-3", event="slow")
    for number in range(5):
        await clients.submit(f"quick-{number}", event="quick")
        assert booking.in_flight[-1].keys == [f"quick-{number}"]
        booking.in_flight[-1].answer()
        await settled()
    assert [call.keys for call in booking.in_flight] == [["slow"]]


async def test_small_queues_share_a_call_and_a_large_one_gets_a_solo_batch(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit("x", event="x")
    await clients.submit("y", event="y")
    await clients.submit("p", event="p")
    await clients.submit("h1", "h2", "h3", event="hot")
    await clients.submit("q", event="q")
    booking.calls[0].answer()
    await settled()
    assert booking.calls[2].keys == ["p", "q"]
    booking.calls[1].answer()
    await settled()
    assert booking.calls[3].keys == ["h1", "h2", "h3"]


async def test_the_oldest_requests_are_sent_first_across_events(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit("x", event="x")
    await clients.submit("y", event="y")
    for key in ("a", "b", "c", "d", "e", "f"):
        await clients.submit(key, event=key)
    booking.calls[0].answer()
    await settled()
    booking.calls[1].answer()
    await settled()
    assert [call.keys for call in booking.calls[2:]] == [[*"abcd"], ["e", "f"]]


async def test_a_full_queue_rejects_at_once_and_leaves_room_for_other_events(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit("first", *(f"k{number}" for number in range(9)))
    assert clients.result("k8") == "busy"
    await clients.submit("other", event="other")
    await clients.submit(*(f"o{number}" for number in range(5)), event="other")
    assert clients.result("o4") == "busy"
    assert [call.keys for call in booking.in_flight] == [["first"], ["other"]]


async def test_a_request_that_would_exceed_its_deadline_is_rejected_at_submission(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit("a")
    booking.now += 4.5
    await clients.submit("b")
    assert clients.result("b") == "busy"
    await clients.submit("c", event="other")
    assert booking.in_flight[-1].keys == ["c"]


async def test_one_slow_early_call_does_not_reject_the_requests_behind_it(booking: Booking) -> None:
    async with open_clients(booking, LIMITS) as clients:
        await clients.submit_together(*(f"early-{number}" for number in range(100)))
        booking.now += 0.6
        booking.in_flight[0].answer()
        await clients.submit_together(*(f"k{number}" for number in range(2_000)))
        assert not any(clients.tasks[f"k{number}"].done() for number in range(300))
        rejected = [key for key, task in clients.tasks.items() if task.done() and task.exception()]
        # By requests (6 ms each) about 500 complete in time; by calls (0.6 s each) 1,280.
        assert len(rejected) < 750
        while booking.in_flight:
            booking.now += 0.1
            booking.in_flight[0].answer()
            await settled()


async def test_a_request_that_waited_too_long_is_rejected_instead_of_sent(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit("a", "b")
    booking.now += 3
    await clients.submit("c")
    booking.now += 0.5
    booking.calls[0].answer()
    await settled()
    assert clients.result("b") == "busy"
    assert booking.in_flight[0].keys == ["c"]
    assert booking.in_flight[0].timeout == pytest.approx(4.5)


async def test_a_request_whose_deadline_is_before_the_expected_answer_is_rejected_instead_of_sent(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit("a", "b")
    booking.now += 1
    await clients.submit("c")
    booking.now += 1
    booking.calls[0].answer()  # after two seconds
    await settled()
    assert booking.in_flight[0].keys == ["b", "c"]
    await clients.submit("d")
    booking.now += 1
    await clients.submit("e")
    booking.now += 1.5
    booking.calls[1].answer()  # after two and a half: no waiting request has that much time left
    await settled()
    assert (clients.result("b"), clients.result("c")) == ("b", "c")
    assert booking.in_flight[0].keys == ["d", "e"]
    await clients.submit("f")
    booking.now += 2.7
    await clients.submit("g")
    booking.calls[2].answer()
    await settled()
    assert clients.result("f") == "busy"  # 2.3 seconds are left, and calls take 2.5
    assert booking.in_flight[0].keys == ["g"]


async def test_an_idle_event_has_no_latency_estimate_that_rejects_its_next_request(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit("a")
    booking.now += 3
    await clients.submit("b")
    booking.now += 3
    await clients.submit("c")
    booking.calls[0].answer()  # after six seconds, longer than any deadline
    await settled()
    assert (clients.result("b"), clients.result("c")) == ("busy", "busy")
    await clients.submit("d")
    assert booking.in_flight[0].keys == ["d"]


async def test_a_call_ends_before_the_deadline_of_its_oldest_request(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit("a", "b")
    booking.now += 2
    await clients.submit("c")
    booking.calls[0].answer()
    await settled()
    assert (booking.in_flight[0].keys, booking.in_flight[0].timeout) == (["b", "c"], 3.0)


async def test_a_cancelled_request_is_not_sent(booking: Booking, clients: Clients) -> None:
    await clients.submit("a", "b", "c")
    clients.tasks["b"].cancel()
    await settled()
    booking.calls[0].answer()
    await settled()
    assert booking.in_flight[0].keys == ["c"]


async def test_cancelling_the_only_request_of_a_call_cancels_the_call(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit("a", "b")
    clients.tasks["a"].cancel()
    await settled()
    assert booking.calls[0].end.cancelled()
    assert booking.in_flight[0].keys == ["b"]


async def test_a_request_whose_client_disconnected_while_it_waited_is_not_sent(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit("a")
    await clients.submit("b", is_disconnected=lambda: True)
    await clients.submit("c", is_disconnected=lambda: False)
    booking.now += 1
    booking.calls[0].answer()
    await settled()
    assert booking.in_flight[0].keys == ["c"]


async def test_the_last_remaining_request_of_a_call_keeps_its_request_id(
    booking: Booking, clients: Clients
) -> None:
    await clients.submit("a")
    await clients.submit("b", is_disconnected=lambda: True)
    await clients.submit("c", is_disconnected=lambda: False)
    booking.now += 1
    booking.calls[0].answer()
    await settled()
    assert [call.request_id for call in booking.calls] == ["a", "c"]


async def test_closing_answers_every_request(booking: Booking, clients: Clients) -> None:
    await clients.submit("a", "b", "c")
    booking.calls[0].answer()
    await clients.submit("d")
    await clients.submitter.close()
    await settled()
    assert [clients.result(key) for key in "bcd"] == ["unavailable"] * 3


async def test_an_idle_submitter_keeps_no_queues(booking: Booking, clients: Clients) -> None:
    for number in range(20):
        await clients.submit(f"k{number}", f"l{number}", event=f"event-{number % 7}")
        clients.tasks[f"l{number}"].cancel()
    await settled()
    while booking.in_flight:
        booking.in_flight[0].answer()
        await settled()
    assert clients.submitter.queues == clients.submitter.waiting == 0


async def test_answered_requests_leave_no_reference_cycles(
    booking: Booking, clients: Clients
) -> None:
    gc.collect()
    gc.disable()
    try:
        await clients.submit("a", "b", "reject", "c")
        while booking.in_flight:
            booking.in_flight[0].answer()
            await settled()
        assert [clients.result(key) for key in ("c", "reject")] == ["c", "sold_out"]
        booking.calls.clear()
        clients.tasks.clear()
        assert not [item for item in gc.get_objects() if isinstance(item, Entry)]
    finally:
        gc.enable()


async def test_a_single_request_keeps_its_trace_and_a_batch_links_to_all(
    booking: Booking, clients: Clients, spans: InMemorySpanExporter
) -> None:
    tracer = trace.get_tracer("test")
    for key in "abc":
        with tracer.start_as_current_span(key):
            await clients.submit(key)
    for _ in range(2):
        booking.in_flight[0].answer()
        await settled()
    (batch,) = [span for span in spans.get_finished_spans() if span.name == "batched bookings"]
    callers = {
        span.name: span.context.span_id for span in spans.get_finished_spans() if span.context
    }
    assert [link.context.span_id for link in batch.links] == [callers["b"], callers["c"]]
    assert batch.parent is None
