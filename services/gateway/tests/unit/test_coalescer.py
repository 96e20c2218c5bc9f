"""The coalescer: nobody is lost, nobody overtakes, nothing grows without bound."""

import asyncio
import contextlib
import gc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

import grpc
import pytest
import structlog
from gateway.coalescer import Coalescer, Limits, Outcome, _Waiter
from gateway.http.problems import Problem
from gateway.http.request_context import RequestContext
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.rpc.errors import RemoteError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SMALL = Limits(waiting=12, waiting_per_event=8, batch=4, flights=2, crowd=3, gathered=100)
OVERLAPPING = replace(SMALL, gathered=3, flights=4, flights_per_event=2)
"""A second call of an event leaves as soon as three wait."""


@dataclass(eq=False)
class Call:
    """One call that is out: the keys it carries, and how it will end."""

    requests: Sequence[pb.CreateBookingRequest]
    timeout: float
    end: asyncio.Future[Sequence[Outcome]]
    request_id: str
    """Under which the call is logged."""

    @property
    def keys(self) -> list[str]:
        return [request.idempotency_key for request in self.requests]

    def answer(self) -> None:
        """Grant every request, except those whose key says "refuse"."""
        if not self.end.done():
            self.end.set_result([_outcome(request) for request in self.requests])

    def fail(self, error: Exception) -> None:
        if not self.end.done():
            self.end.set_exception(error)


@dataclass
class Booking:
    """A scripted backend: calls stay out until the test ends them."""

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
        named = structlog.contextvars.get_contextvars()
        call = Call(requests, timeout, end, named.get("request_id", ""))
        self.calls.append(call)
        return await end

    @property
    def out(self) -> list[Call]:
        return [call for call in self.calls if not call.end.done()]


def _outcome(request: pb.CreateBookingRequest) -> Outcome:
    if "refuse" in request.idempotency_key:
        return refusal(request.idempotency_key)
    return pb.CreateBookingResponse(booking=pb.Booking(id=request.idempotency_key))


def refusal(text: str = "No.") -> RemoteError:
    return RemoteError(grpc.StatusCode.RESOURCE_EXHAUSTED, "sold_out", text)


def wish(key: str, event: str = "hot") -> pb.CreateBookingRequest:
    return pb.CreateBookingRequest(event_id=event, idempotency_key=key)


def origin(key: str) -> RequestContext:
    return RequestContext(key, "", trace.get_current_span())


class Crowd:
    """Callers in tasks of their own."""

    def __init__(self, coalescer: Coalescer) -> None:
        self.coalescer = coalescer
        self.tasks: dict[str, asyncio.Task[pb.CreateBookingResponse]] = {}

    async def asks(
        self, *keys: str, event: str = "hot", gone: Callable[[], bool] | None = None
    ) -> None:
        """Send requests one after the other, and let each get as far as it gets."""
        for key in keys:
            await self.ask_together(key, event=event, gone=gone)

    async def ask_together(
        self, *keys: str, event: str = "hot", gone: Callable[[], bool] | None = None
    ) -> None:
        """Send requests in the same turn of the loop."""
        for key in keys:
            submitted = self.coalescer.submit(wish(key, event), origin(key), gone)
            self.tasks[key] = asyncio.create_task(submitted)
        await settled()

    def told(self, key: str) -> str:
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
async def crowd(booking: Booking) -> AsyncIterator[Crowd]:
    async with standing_before(booking, SMALL) as crowd:
        yield crowd


@contextlib.asynccontextmanager
async def standing_before(booking: Booking, limits: Limits) -> AsyncIterator[Crowd]:
    coalescer = Coalescer(booking.one, booking.many, limits, lambda: booking.now)
    crowd = Crowd(coalescer)
    yield crowd
    await coalescer.aclose()
    for task in crowd.tasks.values():
        task.cancel()
    await asyncio.gather(*crowd.tasks.values(), return_exceptions=True)


async def test_an_idle_gateway_sends_at_once_and_what_comes_meanwhile_leaves_together(
    booking: Booking, crowd: Crowd
) -> None:
    await crowd.asks("a", "b", "c", "d")
    assert [call.keys for call in booking.out] == [["a"]]
    booking.calls[0].answer()
    await settled()
    assert crowd.told("a") == "a"
    assert [call.keys for call in booking.out] == [["b", "c", "d"]]
    booking.calls[1].answer()
    await settled()
    assert [crowd.told(key) for key in "bcd"] == ["b", "c", "d"]


async def test_a_burst_of_one_turn_leaves_together(booking: Booking, crowd: Crowd) -> None:
    await crowd.ask_together("a", "b", "c")
    assert [call.keys for call in booking.out] == [["a", "b", "c"]]


async def test_while_a_call_is_out_the_next_leaves_when_a_crowd_has_gathered(
    booking: Booking,
) -> None:
    async with standing_before(booking, OVERLAPPING) as crowd:
        await crowd.asks(*"abcde")
        assert [call.keys for call in booking.out] == [["a"]]  # nobody knows how long it takes
        booking.now += 0.1
        booking.calls[0].answer()
        await settled()
        await crowd.asks("f", "g")
        assert [call.keys for call in booking.out] == [[*"bcde"]]
        await crowd.asks("h")
        assert [call.keys for call in booking.out] == [[*"bcde"], [*"fgh"]]
        await crowd.asks(*"ijkl")
        assert len(booking.out) == OVERLAPPING.flights_per_event < OVERLAPPING.flights
        booking.calls[2].answer()
        await settled()
        assert booking.out[-1].keys == [*"ijkl"]


async def test_while_calls_are_slow_the_next_leaves_when_the_one_before_has_come_back(
    booking: Booking,
) -> None:
    async with standing_before(booking, OVERLAPPING) as crowd:
        await crowd.asks(*"ab")
        booking.now += 1.5
        booking.calls[0].answer()
        await settled()
        assert [call.keys for call in booking.out] == [["b"]]
        # Behind one that takes 1.5 seconds theirs would take three, and be cut off.
        await crowd.asks(*"cdef")
        assert len(booking.out) == 1
        booking.now += 1.5
        booking.calls[1].answer()
        await settled()
        assert [call.keys for call in booking.out] == [[*"cdef"]]


async def test_an_event_whose_first_call_is_lost_sells_on_after_a_second(booking: Booking) -> None:
    async with standing_before(booking, OVERLAPPING) as crowd:
        await crowd.asks(*"abcd")
        assert [call.keys for call in booking.out] == [["a"]]
        booking.now += OVERLAPPING.lost
        await crowd.asks("e")
        assert [call.keys for call in booking.out] == [["a"], [*"bcde"]]


async def test_who_may_leave_no_more_when_their_turn_comes_goes_on_waiting(
    booking: Booking,
) -> None:
    async with standing_before(booking, replace(OVERLAPPING, flights=2, lost=9.0)) as crowd:
        await crowd.asks("a")
        booking.now += 0.1
        booking.calls[0].answer()
        await settled()
        await crowd.asks("b")
        await crowd.asks("x", event="other")
        await crowd.asks(*"cde")  # a crowd behind a quick call, but there is no call left
        booking.now += 2.5
        booking.calls[2].answer()  # that of the other event; "b" has become slow meanwhile
        await settled()
        assert [call.keys for call in booking.out] == [["b"]]
        booking.calls[1].answer()
        await settled()
        assert [call.keys for call in booking.out] == [[*"cde"]]


async def test_a_call_carries_at_most_a_batch_and_the_rest_follows_in_order(
    booking: Booking, crowd: Crowd
) -> None:
    await crowd.asks(*"abcdefg")
    while booking.out:
        booking.out[0].answer()
        await settled()
    assert [call.keys for call in booking.calls] == [["a"], [*"bcde"], ["f", "g"]]


async def test_each_gets_its_own_outcome(booking: Booking, crowd: Crowd) -> None:
    await crowd.asks("a", "b", "refuse", "c")
    booking.calls[0].answer()
    await settled()
    booking.calls[1].answer()
    await settled()
    assert [crowd.told(key) for key in ("b", "refuse", "c")] == ["b", "sold_out", "c"]


async def test_a_failed_call_fails_its_requests_alike_and_nobody_else(
    booking: Booking, crowd: Crowd
) -> None:
    await crowd.asks("a", "b", "c")
    booking.calls[0].fail(RemoteError(grpc.StatusCode.UNAVAILABLE, "unavailable", "away"))
    await settled()
    assert crowd.told("a") == "unavailable"
    await crowd.asks("d")
    booking.calls[1].fail(RuntimeError("a bug"))
    await settled()
    assert [crowd.told(key) for key in "bc"] == ["internal", "internal"]
    booking.calls[2].answer()
    await settled()
    assert crowd.told("d") == "d"


async def test_a_wrong_number_of_outcomes_is_nobodys_booking(
    booking: Booking, crowd: Crowd
) -> None:
    await crowd.asks("a", "b", "c")
    booking.calls[0].answer()
    await settled()
    booking.calls[1].end.set_result([pb.CreateBookingResponse()])
    await settled()
    assert [crowd.told(key) for key in "bc"] == ["internal", "internal"]


async def test_a_slow_event_holds_no_other(booking: Booking, crowd: Crowd) -> None:
    await crowd.asks("slow", "slow-2", "slow-3", event="slow")
    for number in range(5):
        await crowd.asks(f"quick-{number}", event="quick")
        assert booking.out[-1].keys == [f"quick-{number}"]
        booking.out[-1].answer()
        await settled()
    assert [call.keys for call in booking.out] == [["slow"]]


async def test_small_parties_share_a_call_and_a_crowd_travels_alone(
    booking: Booking, crowd: Crowd
) -> None:
    await crowd.asks("x", event="x")
    await crowd.asks("y", event="y")
    await crowd.asks("p", event="p")
    await crowd.asks("h1", "h2", "h3", event="hot")
    await crowd.asks("q", event="q")
    booking.calls[0].answer()
    await settled()
    assert booking.calls[2].keys == ["p", "q"]
    booking.calls[1].answer()
    await settled()
    assert booking.calls[3].keys == ["h1", "h2", "h3"]


async def test_who_came_first_leaves_first_across_events(booking: Booking, crowd: Crowd) -> None:
    await crowd.asks("x", event="x")
    await crowd.asks("y", event="y")
    for key in ("a", "b", "c", "d", "e", "f"):
        await crowd.asks(key, event=key)
    booking.calls[0].answer()
    await settled()
    booking.calls[1].answer()
    await settled()
    assert [call.keys for call in booking.calls[2:]] == [[*"abcd"], ["e", "f"]]


async def test_a_full_queue_refuses_at_once_and_leaves_room_for_other_events(
    booking: Booking, crowd: Crowd
) -> None:
    await crowd.asks("first", *(f"k{number}" for number in range(9)))
    assert crowd.told("k8") == "busy"
    await crowd.asks("other", event="other")
    await crowd.asks(*(f"o{number}" for number in range(5)), event="other")
    assert crowd.told("o4") == "busy"
    assert [call.keys for call in booking.out] == [["first"], ["other"]]


async def test_who_would_not_be_answered_in_time_is_refused_at_once(
    booking: Booking, crowd: Crowd
) -> None:
    await crowd.asks("a")
    booking.now += 4.5
    await crowd.asks("b")
    assert crowd.told("b") == "busy"
    await crowd.asks("c", event="other")
    assert booking.out[-1].keys == ["c"]


async def test_a_crowd_is_not_refused_because_one_early_call_was_slow(booking: Booking) -> None:
    async with standing_before(booking, Limits()) as crowd:
        await crowd.ask_together(*(f"early-{number}" for number in range(100)))
        booking.now += 0.6
        booking.out[0].answer()
        await crowd.ask_together(*(f"k{number}" for number in range(2_000)))
        assert not any(crowd.tasks[f"k{number}"].done() for number in range(300))
        refused = [key for key, task in crowd.tasks.items() if task.done() and task.exception()]
        # At 6 ms a request only some 500 would be served in time; at 0.6 s a call, 1,280.
        assert len(refused) < 750
        while booking.out:
            booking.now += 0.1
            booking.out[0].answer()
            await settled()


async def test_who_waited_too_long_is_refused_instead_of_sent(
    booking: Booking, crowd: Crowd
) -> None:
    await crowd.asks("a", "b")
    booking.now += 3
    await crowd.asks("c")
    booking.now += 0.5
    booking.calls[0].answer()
    await settled()
    assert crowd.told("b") == "busy"
    assert booking.out[0].keys == ["c"]
    assert booking.out[0].timeout == pytest.approx(4.5)


async def test_who_would_outlive_a_call_as_slow_as_the_last_is_refused_instead_of_sent(
    booking: Booking, crowd: Crowd
) -> None:
    await crowd.asks("a", "b")
    booking.now += 1
    await crowd.asks("c")
    booking.now += 1
    booking.calls[0].answer()  # after two seconds
    await settled()
    assert booking.out[0].keys == ["b", "c"]
    await crowd.asks("d")
    booking.now += 1
    await crowd.asks("e")
    booking.now += 1.5
    booking.calls[1].answer()  # after two and a half: nobody can wait that long any more
    await settled()
    assert (crowd.told("b"), crowd.told("c")) == ("b", "c")
    assert booking.out[0].keys == ["d", "e"]
    await crowd.asks("f")
    booking.now += 2.7
    await crowd.asks("g")
    booking.calls[2].answer()
    await settled()
    assert crowd.told("f") == "busy"  # 2.3 of its seconds are left, and calls take 2.5
    assert booking.out[0].keys == ["g"]


async def test_somebody_finds_out_whether_calls_have_become_faster(
    booking: Booking, crowd: Crowd
) -> None:
    await crowd.asks("a")
    booking.now += 3
    await crowd.asks("b")
    booking.now += 3
    await crowd.asks("c")
    booking.calls[0].answer()  # after six seconds, more than anybody can wait
    await settled()
    assert (crowd.told("b"), crowd.told("c")) == ("busy", "busy")
    await crowd.asks("d")
    assert booking.out[0].keys == ["d"]


async def test_a_call_ends_before_the_deadline_of_its_oldest_request(
    booking: Booking, crowd: Crowd
) -> None:
    await crowd.asks("a", "b")
    booking.now += 2
    await crowd.asks("c")
    booking.calls[0].answer()
    await settled()
    assert (booking.out[0].keys, booking.out[0].timeout) == (["b", "c"], 3.0)


async def test_a_cancelled_caller_is_not_sent_and_frees_its_place(
    booking: Booking, crowd: Crowd
) -> None:
    await crowd.asks("a", "b", "c")
    crowd.tasks["b"].cancel()
    await settled()
    booking.calls[0].answer()
    await settled()
    assert booking.out[0].keys == ["c"]


async def test_cancelling_a_lonely_caller_ends_its_call(booking: Booking, crowd: Crowd) -> None:
    await crowd.asks("a", "b")
    crowd.tasks["a"].cancel()
    await settled()
    assert booking.calls[0].end.cancelled()
    assert booking.out[0].keys == ["b"]


async def test_who_hung_up_while_waiting_is_not_sent(booking: Booking, crowd: Crowd) -> None:
    await crowd.asks("a")
    await crowd.asks("b", gone=lambda: True)
    await crowd.asks("c", gone=lambda: False)
    booking.now += 1
    booking.calls[0].answer()
    await settled()
    assert booking.out[0].keys == ["c"]


async def test_who_is_left_alone_in_a_call_travels_under_their_own_name(
    booking: Booking, crowd: Crowd
) -> None:
    await crowd.asks("a")
    await crowd.asks("b", gone=lambda: True)
    await crowd.asks("c", gone=lambda: False)
    booking.now += 1
    booking.calls[0].answer()
    await settled()
    assert [call.request_id for call in booking.calls] == ["a", "c"]


async def test_closing_leaves_nobody_waiting(booking: Booking, crowd: Crowd) -> None:
    await crowd.asks("a", "b", "c")
    booking.calls[0].answer()
    await crowd.asks("d")
    await crowd.coalescer.aclose()
    await settled()
    assert [crowd.told(key) for key in "bcd"] == ["unavailable"] * 3


async def test_an_idle_coalescer_remembers_no_event(booking: Booking, crowd: Crowd) -> None:
    for number in range(20):
        await crowd.asks(f"k{number}", f"l{number}", event=f"event-{number % 7}")
        crowd.tasks[f"l{number}"].cancel()
    await settled()
    while booking.out:
        booking.out[0].answer()
        await settled()
    assert not crowd.coalescer._parties
    assert not crowd.coalescer._ready


async def test_who_was_answered_leaves_nothing_to_the_garbage_collector(
    booking: Booking, crowd: Crowd
) -> None:
    gc.collect()
    gc.disable()
    try:
        await crowd.asks("a", "b", "refuse", "c")
        while booking.out:
            booking.out[0].answer()
            await settled()
        assert [crowd.told(key) for key in ("c", "refuse")] == ["c", "sold_out"]
        booking.calls.clear()
        crowd.tasks.clear()
        assert not [thing for thing in gc.get_objects() if isinstance(thing, _Waiter)]
    finally:
        gc.enable()


async def test_a_lonely_request_stays_in_its_trace_and_a_batch_is_linked_to_all(
    booking: Booking, crowd: Crowd, spans: InMemorySpanExporter
) -> None:
    tracer = trace.get_tracer("test")
    for key in "abc":
        with tracer.start_as_current_span(key):
            await crowd.asks(key)
    for _ in range(2):
        booking.out[0].answer()
        await settled()
    (batch,) = [span for span in spans.get_finished_spans() if span.name == "coalesced bookings"]
    callers = {
        span.name: span.context.span_id for span in spans.get_finished_spans() if span.context
    }
    assert [link.context.span_id for link in batch.links] == [callers["b"], callers["c"]]
    assert batch.parent is None


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 3)),
        st.tuples(st.just("answer"), st.integers(0, 3)),
        st.tuples(st.just("fail"), st.integers(0, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 40)),
        st.tuples(st.just("wait"), st.integers(1, 3)),
    ),
    max_size=60,
)


@given(ACTIONS, st.sampled_from([SMALL, OVERLAPPING]))
@settings(deadline=None, max_examples=200)
def test_in_any_interleaving_everybody_is_told_once_and_in_order(
    actions: list[tuple[str, int]], limits: Limits
) -> None:
    asyncio.run(_play(actions, limits))


async def _play(actions: list[tuple[str, int]], limits: Limits) -> None:
    booking = Booking()
    order: dict[str, list[str]] = {}
    async with standing_before(booking, limits) as crowd:
        for number, (action, value) in enumerate(actions):
            if action == "ask":
                key = f"{'refuse' if number % 5 == 0 else 'take'}-{number}"
                order.setdefault(f"event-{value}", []).append(key)
                await crowd.asks(key, event=f"event-{value}")
            elif action == "cancel" and crowd.tasks:
                list(crowd.tasks.values())[value % len(crowd.tasks)].cancel()
            elif action == "wait":
                booking.now += value
            elif booking.out:
                call = booking.out[value % len(booking.out)]
                call.answer() if action == "answer" else call.fail(refusal("all"))
            await settled()
            _check_bounds(booking, crowd, limits)
        while booking.out:
            booking.out[0].answer()
            await settled()
        _check_everybody(booking, crowd, order)


def _check_bounds(booking: Booking, crowd: Crowd, limits: Limits) -> None:
    assert len(booking.out) <= limits.flights
    events = [event for call in booking.out for event in {one.event_id for one in call.requests}]
    calls = max(Counter(events).values(), default=0)
    assert calls <= (1 if limits is SMALL else limits.flights_per_event), "too many for one event"
    assert all(len(call.keys) <= limits.batch for call in booking.calls)
    waiting = sum(not task.done() for task in crowd.tasks.values())
    assert waiting <= limits.waiting + limits.flights * limits.batch


def _check_everybody(booking: Booking, crowd: Crowd, order: dict[str, list[str]]) -> None:
    sent = [request for call in booking.calls for request in call.requests]
    keys = [request.idempotency_key for request in sent]
    assert len(set(keys)) == len(keys), "sent twice"
    for event, asked in order.items():
        of_event = [one.idempotency_key for one in sent if one.event_id == event]
        assert of_event == [key for key in asked if key in of_event], "overtaken"
    for key, task in crowd.tasks.items():
        assert task.done(), f"{key} waits for ever"
        if not task.cancelled():
            told = crowd.told(key)
            assert told in {key, "sold_out", "busy"}
            assert told == "busy" or key in keys
    assert crowd.coalescer.waiting == crowd.coalescer._pace.out == 0
    assert not crowd.coalescer._parties
