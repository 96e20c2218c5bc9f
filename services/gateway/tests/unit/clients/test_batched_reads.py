"""Reads that arrive while calls are in flight share the next call."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import grpc
import pytest
from gateway.clients.batched_reads import BatchedReads, UnbatchedReads
from gateway.http.request_context import RequestContext
from goticket_platform.rpc.errors import RemoteError
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.contextvars import get_contextvars

FORBIDDEN = RemoteError(
    grpc.StatusCode.PERMISSION_DENIED, "forbidden", "No.", (("a", "b"),), {"c": "d"}
)


@dataclass
class Service:
    """Responds with the request in upper case, once it is open."""

    calls: list[list[str]] = field(default_factory=list)
    single: list[str] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    contexts: list[dict[str, str]] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None
    refused: set[str] = field(default_factory=set)
    missing: int = 0

    async def send_one(self, request: str, timeout: float) -> str:
        self.single.append(request)
        outcome = (await self._respond([request], timeout))[0]
        if isinstance(outcome, RemoteError):
            raise outcome
        return outcome

    async def send_many(
        self, requests: Sequence[str], timeout: float
    ) -> Sequence[str | RemoteError]:
        results = await self._respond(requests, timeout)
        return results[self.missing :]

    async def _respond(
        self, requests: Sequence[str], timeout: float
    ) -> Sequence[str | RemoteError]:
        self.calls.append(list(requests))
        self.timeouts.append(timeout)
        self.contexts.append(dict(get_contextvars()))
        await self.open.wait()
        if self.failure:
            raise self.failure
        return [FORBIDDEN if each in self.refused else each.upper() for each in requests]


@pytest.fixture
def service() -> Service:
    service = Service()
    service.open.set()
    return service


def reads_of(service: Service, *, seconds: float = 5.0) -> BatchedReads[str, str]:
    return BatchedReads("texts", service.send_one, service.send_many, max_batch=3, seconds=seconds)


def context(request_id: str = "r", user_id: str = "u") -> RequestContext:
    return RequestContext(request_id, user_id, trace.get_current_span())


def start(reads: BatchedReads[str, str], request: str) -> "asyncio.Task[str]":
    return asyncio.create_task(reads.read(request, context(f"request-{request}")))


async def sent(service: Service, calls: int) -> None:
    async with asyncio.timeout(5):
        while len(service.calls) < calls:
            await asyncio.sleep(0)


async def test_an_idle_gateway_sends_a_read_at_once_as_a_single_call(service: Service) -> None:
    reads = reads_of(service)
    assert await reads.read("a", context("first", "ada")) == "A"
    assert await reads.read("b", context("second", "bob")) == "B"
    assert service.single == ["a", "b"]
    assert service.contexts == [
        {"request_id": "first", "user_id": "ada"},
        {"request_id": "second", "user_id": "bob"},
    ]


async def test_reads_that_wait_share_a_call_and_each_gets_its_own_result(service: Service) -> None:
    reads = reads_of(service)
    service.open.clear()
    service.refused = {"c"}
    first = [start(reads, "a")]
    await sent(service, 1)
    first.append(start(reads, "b"))
    await sent(service, 2)
    later = [start(reads, request) for request in "cdef"]
    await asyncio.sleep(0)
    service.open.set()
    results = await asyncio.gather(*first, *later, return_exceptions=True)
    assert service.calls == [["a"], ["b"], ["c", "d", "e"], ["f"]]
    assert [results[0], results[1], *results[3:]] == ["A", "B", "D", "E", "F"]
    refused = results[2]
    assert isinstance(refused, RemoteError)
    assert vars(refused) == vars(FORBIDDEN)


async def test_equal_reads_do_not_share_a_result(service: Service) -> None:
    reads = reads_of(service)
    results = await asyncio.gather(*(reads.read("a", context()) for _ in range(3)))
    assert results == ["A"] * 3
    assert service.calls == [["a"] * 3]


async def test_every_caller_of_a_failed_call_gets_an_error_of_its_own(service: Service) -> None:
    reads = reads_of(service)
    service.failure = RemoteError(grpc.StatusCode.UNAVAILABLE, "unavailable", "Down.")
    failed = await asyncio.gather(*(start(reads, each) for each in "abc"), return_exceptions=True)
    assert len(service.calls) == 1
    errors = [error for error in failed if isinstance(error, RemoteError)]
    assert [(error.code, error.status) for error in errors] == [
        ("unavailable", grpc.StatusCode.UNAVAILABLE)
    ] * 3
    assert len({id(error) for error in (*errors, service.failure)}) == 4
    assert len({id(error.__traceback__) for error in errors}) == 3
    service.failure = None
    assert await reads.read("d", context()) == "D"


async def test_an_unexpected_failure_is_internal(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    reads = reads_of(service)
    service.missing = 1
    failed = await asyncio.gather(start(reads, "a"), start(reads, "b"), return_exceptions=True)
    assert [getattr(error, "code", None) for error in failed] == ["internal"] * 2
    service.failure = ZeroDivisionError()
    with pytest.raises(RemoteError) as caught:
        await reads.read("c", context())
    assert caught.value.code == "internal"


async def test_a_read_ends_at_its_deadline_wherever_it_is(service: Service) -> None:
    reads = reads_of(service, seconds=0.3)
    service.open.clear()
    tasks = [start(reads, "a")]
    await sent(service, 1)
    tasks.append(start(reads, "b"))
    await sent(service, 2)
    tasks.append(start(reads, "c"))
    failed = await asyncio.gather(*tasks, return_exceptions=True)
    assert [getattr(error, "status", None) for error in failed] == [
        grpc.StatusCode.DEADLINE_EXCEEDED
    ] * 3
    service.open.set()
    assert await reads.read("d", context()) == "D"
    assert ["c"] not in service.calls


async def test_a_call_has_no_more_time_than_its_reads(service: Service) -> None:
    reads = reads_of(service, seconds=5)
    service.open.clear()
    blocking = [start(reads, "a")]
    await sent(service, 1)
    blocking.append(start(reads, "b"))
    await sent(service, 2)
    waiting = [start(reads, "c"), start(reads, "d")]
    await asyncio.sleep(0.02)
    service.open.set()
    await asyncio.gather(*blocking, *waiting)
    assert service.timeouts[2] <= 5 - 0.02


async def test_a_cancelled_caller_affects_no_other_read(service: Service) -> None:
    reads = reads_of(service)
    service.open.clear()
    together = [start(reads, "a"), start(reads, "b")]
    await sent(service, 1)
    together[0].cancel()
    blocking = start(reads, "c")
    await sent(service, 2)
    waiting = [start(reads, "d"), start(reads, "e")]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    service.open.set()
    others = [together[1], blocking, waiting[1]]
    assert await asyncio.gather(*others) == ["B", "C", "E"]
    assert service.calls == [["a", "b"], ["c"], ["e"]]
    assert together[0].cancelled()
    assert waiting[0].cancelled()


async def test_a_batch_has_its_own_request_id_and_links_to_the_traces_of_its_reads(
    service: Service, spans: InMemorySpanExporter
) -> None:
    reads = reads_of(service)
    tracer = trace.get_tracer("test")
    tasks = []
    for name in "ab":
        with tracer.start_as_current_span(name):
            tasks.append(start(reads, name))
    await asyncio.gather(*tasks)
    found = {span.name: span for span in spans.get_finished_spans()}
    batch = found["batched reads of texts"]
    callers = [found[name].context for name in "ab"]
    assert [link.context.span_id for link in batch.links] == [
        caller.span_id for caller in callers if caller
    ]
    assert batch.parent is None
    [bound] = service.contexts
    assert bound.keys() == {"request_id"}
    assert bound["request_id"] not in {"request-a", "request-b"}


async def test_unbatched_reads_do_not_wait_for_each_other(service: Service) -> None:
    """GATEWAY_BATCHING=false: every read is a call of its own with the whole time limit."""
    service.open.clear()
    reads = UnbatchedReads(service.send_one, seconds=5.0)
    tasks = [asyncio.create_task(reads.read(each, context(f"request-{each}"))) for each in "abcd"]
    await sent(service, 4)
    service.open.set()
    assert await asyncio.gather(*tasks) == ["A", "B", "C", "D"]
    assert service.calls == [["a"], ["b"], ["c"], ["d"]]
    assert service.timeouts == [5.0] * 4
    assert [each["request_id"] for each in service.contexts] == [
        f"request-{each}" for each in "abcd"
    ]
