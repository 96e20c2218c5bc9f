"""Slow transactions still sell most of their capacity, and no caller waits too long.

Several batched submitters share one booking queue that commits batch after batch, in virtual
time.
"""

import asyncio
import selectors
from collections import Counter, deque
from collections.abc import Sequence

import grpc
import pytest
from gateway.booking_submission.batched_submitter import BatchedSubmitter
from gateway.http.problems import Problem
from gateway.http.request_context import RequestContext
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.rpc.errors import RemoteError
from opentelemetry.trace import INVALID_SPAN

BATCH = 256
BUYERS_PER_SECOND = 800
SECONDS = 20
CONTEXT = RequestContext("", "", INVALID_SPAN)


class VirtualTimeSelector(selectors.SelectSelector):
    """Advances the clock instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in which sleeping takes no time."""

    def __init__(self) -> None:
        self._selector_with_clock = VirtualTimeSelector()
        super().__init__(self._selector_with_clock)

    def time(self) -> float:
        return self._selector_with_clock.now


class BookingQueue:
    """Commits waiting requests, at most a batch at a time, in `seconds` each."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._queue: deque[asyncio.Future[None]] = deque()
        self._committing: asyncio.Task[None] | None = None

    async def many(
        self, requests: Sequence[pb.CreateBookingRequest], timeout: float
    ) -> list[pb.CreateBookingResponse]:
        loop = asyncio.get_running_loop()
        waiting = [loop.create_future() for _ in requests]
        self._queue += waiting
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit())
        try:
            async with asyncio.timeout(timeout):
                await asyncio.gather(*waiting)
        except TimeoutError:
            raise RemoteError(grpc.StatusCode.DEADLINE_EXCEEDED, "timeout", "timed out") from None
        return [pb.CreateBookingResponse()] * len(waiting)

    async def one(
        self, request: pb.CreateBookingRequest, timeout: float
    ) -> pb.CreateBookingResponse:
        [answer] = await self.many([request], timeout)
        return answer

    async def _commit(self) -> None:
        while self._queue:
            batch: list[asyncio.Future[None]] = []
            while self._queue and len(batch) < BATCH:
                request = self._queue.popleft()
                if not request.done():
                    batch.append(request)
            if batch:
                await asyncio.sleep(self._seconds)
            for request in batch:
                if not request.done():
                    request.set_result(None)
        self._committing = None


async def sell(queue: BookingQueue, gateways: int) -> Counter[str]:
    """Return how often the buyers of `SECONDS` got each result."""
    clock = asyncio.get_running_loop().time
    submitters = [BatchedSubmitter(queue.one, queue.many, clock=clock) for _ in range(gateways)]
    results: Counter[str] = Counter()

    async def buy(submitter: BatchedSubmitter) -> None:
        begun = clock()
        try:
            await submitter.submit(pb.CreateBookingRequest(event_id="hot"), CONTEXT)
            results["sold"] += 1
        except Problem as problem:
            results[problem.code] += 1
        except RemoteError as failure:
            results[failure.code] += 1
        results["late"] += clock() - begun > 5.001

    buyers = []
    for number in range(SECONDS * BUYERS_PER_SECOND):
        buyers.append(asyncio.create_task(buy(submitters[number % gateways])))
        await asyncio.sleep(1 / BUYERS_PER_SECOND)
    await asyncio.gather(*buyers)
    return results


@pytest.mark.parametrize("gateways", [1, 2, 4])
@pytest.mark.parametrize(("seconds", "least"), [(0.4, 0.9), (1.0, 0.7), (1.5, 0.6), (2.0, 0.3)])
def test_slow_transactions_sell_most_of_their_capacity(
    seconds: float, least: float, gateways: int
) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        results = runner.run(sell(BookingQueue(seconds), gateways))
    best = min(BATCH / seconds, BUYERS_PER_SECOND)
    assert results["sold"] >= least * best * SECONDS, results
    assert not results["late"]


def test_an_event_whose_first_call_is_lost_is_sold() -> None:
    class LosingFirstCall(BookingQueue):
        is_lost = False

        async def one(
            self, request: pb.CreateBookingRequest, timeout: float
        ) -> pb.CreateBookingResponse:
            if not self.is_lost:
                self.is_lost = True
                await asyncio.sleep(timeout)
                raise RemoteError(grpc.StatusCode.DEADLINE_EXCEEDED, "timeout", "lost")
            return await super().one(request, timeout)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        results = runner.run(sell(LosingFirstCall(0.02), 1))
    assert results["timeout"] == 1
    assert results["sold"] == SECONDS * BUYERS_PER_SECOND - 1, results
