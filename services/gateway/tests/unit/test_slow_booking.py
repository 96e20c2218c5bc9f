"""While transactions take seconds, most of what they can carry is sold, and nobody is for long.

Coalescers before one lane that commits one batch after the other, in virtual time.
"""

import asyncio
import selectors
from collections import Counter, deque
from collections.abc import Sequence

import grpc
import pytest
from gateway.coalescer import Coalescer
from gateway.http.problems import Problem
from gateway.http.request_context import RequestContext
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.rpc.errors import RemoteError
from opentelemetry.trace import INVALID_SPAN

BATCH = 256
BUYERS_PER_SECOND = 800
SECONDS = 20
NOBODY = RequestContext("", "", INVALID_SPAN)


class Leaping(selectors.SelectSelector):
    """Instead of waiting it sets the clock forward."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in which sleeping takes no time."""

    def __init__(self) -> None:
        self._leaping = Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now


class Lane:
    """Commits what has queued, at most a batch at a time, in `seconds` each."""

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
            raise RemoteError(grpc.StatusCode.DEADLINE_EXCEEDED, "timeout", "cut off") from None
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
                asked = self._queue.popleft()
                if not asked.done():
                    batch.append(asked)
            if batch:
                await asyncio.sleep(self._seconds)
            for asked in batch:
                if not asked.done():
                    asked.set_result(None)
        self._committing = None


async def sell(lane: Lane, gateways: int) -> Counter[str]:
    """What the buyers of `SECONDS` were told."""
    clock = asyncio.get_running_loop().time
    coalescers = [Coalescer(lane.one, lane.many, clock=clock) for _ in range(gateways)]
    told: Counter[str] = Counter()

    async def buy(coalescer: Coalescer) -> None:
        begun = clock()
        try:
            await coalescer.submit(pb.CreateBookingRequest(event_id="hot"), NOBODY)
            told["sold"] += 1
        except Problem as refusal:
            told[refusal.code] += 1
        except RemoteError as failure:
            told[failure.code] += 1
        told["late"] += clock() - begun > 5.001

    buyers = []
    for number in range(SECONDS * BUYERS_PER_SECOND):
        buyers.append(asyncio.create_task(buy(coalescers[number % gateways])))
        await asyncio.sleep(1 / BUYERS_PER_SECOND)
    await asyncio.gather(*buyers)
    return told


@pytest.mark.parametrize("gateways", [1, 2, 4])
@pytest.mark.parametrize(("seconds", "least"), [(0.4, 0.9), (1.0, 0.7), (1.5, 0.6), (2.0, 0.3)])
def test_transactions_that_take_seconds_still_carry_crowds(
    seconds: float, least: float, gateways: int
) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        told = runner.run(sell(Lane(seconds), gateways))
    best = min(BATCH / seconds, BUYERS_PER_SECOND)
    assert told["sold"] >= least * best * SECONDS, told
    assert not told["late"]


def test_an_event_whose_first_call_is_lost_is_sold_all_the_same() -> None:
    class Losing(Lane):
        lost = False

        async def one(
            self, request: pb.CreateBookingRequest, timeout: float
        ) -> pb.CreateBookingResponse:
            if not self.lost:
                self.lost = True
                await asyncio.sleep(timeout)
                raise RemoteError(grpc.StatusCode.DEADLINE_EXCEEDED, "timeout", "lost")
            return await super().one(request, timeout)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        told = runner.run(sell(Losing(0.02), 1))
    assert told["timeout"] == 1
    assert told["sold"] == SECONDS * BUYERS_PER_SECOND - 1, told
