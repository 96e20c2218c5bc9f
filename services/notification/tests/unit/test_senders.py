"""The loop of a group of senders, with a fake queue."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

import pytest
from goticket_platform.lifecycle import Stop
from goticket_testing.messaging import eventually, running
from notification.bookings import NotificationKind, NotificationRequest
from notification.delivery_queue import Delivery, SenderGroup
from notification.outage_pause import OutagePause
from notification.senders import Senders

CONNECTIONS = 4


def delivery() -> Delivery:
    ids = (uuid4() for _ in range(5))
    request = NotificationRequest(
        next(ids), NotificationKind.TICKETS, next(ids), next(ids), 1, next(ids)
    )
    return Delivery(request, next(ids), 1, 0)


class FakeQueue:
    """Gives out its pending deliveries."""

    def __init__(self) -> None:
        self.pending: list[Delivery] = []
        self.failures: list[Exception] = []
        self.sizes: list[int] = []

    async def claim(self, _group: SenderGroup, limit: int) -> list[Delivery]:
        """Return up to `limit` deliveries."""
        if self.failures:
            raise self.failures.pop()
        self.sizes.append(limit)
        claimed, self.pending = self.pending[:limit], self.pending[limit:]
        return claimed


class FakeSending:
    """Counts deliveries in progress; each waits for `may_end` while it has a connection."""

    def __init__(self, pause: OutagePause) -> None:
        self.pause = pause
        self.may_end = asyncio.Event()
        self.sent: list[Delivery] = []
        self.in_transit = 0
        self.started = 0
        self.fails = False

    async def __call__(
        self, each: Delivery, connections: asyncio.Semaphore, _is_stopping: Callable[[], bool]
    ) -> None:
        """Send one delivery."""
        self.started += 1
        async with connections:
            self.in_transit += 1
            await self.may_end.wait()
            self.in_transit -= 1
            if self.fails:
                self.pause.begin()
            else:
                self.sent.append(each)
                self.pause.end()


class Parts:
    """A group of senders with fakes."""

    def __init__(self) -> None:
        self.queue = FakeQueue()
        self.pause = OutagePause()
        self.sending = FakeSending(self.pause)
        self.senders = Senders(
            SenderGroup.REGULAR,
            CONNECTIONS,
            self.queue,  # type: ignore[arg-type]  # a fake with the one method that is used
            self.sending,
            self.pause,
        )


@pytest.fixture
async def parts() -> Parts:
    return Parts()


async def test_no_more_is_in_transit_than_there_are_connections(parts: Parts) -> None:
    parts.queue.pending = [delivery() for _ in range(50)]
    async with running(parts.senders.run):
        await eventually(lambda: parts.sending.in_transit == CONNECTIONS)
        assert parts.sending.started <= 2 * CONNECTIONS
        parts.sending.may_end.set()
        await eventually(lambda: len(parts.sending.sent) == 50)
    assert max(parts.queue.sizes) <= 2 * CONNECTIONS


async def test_a_wake_up_is_followed_by_a_claim_at_once(parts: Parts) -> None:
    parts.sending.may_end.set()
    async with running(parts.senders.run):
        await eventually(lambda: bool(parts.queue.sizes))
        parts.queue.pending = [delivery()]
        claims = len(parts.queue.sizes)
        parts.senders.wake()
        for _ in range(10):  # turns of the event loop, which no timer ends
            await asyncio.sleep(0)
        assert len(parts.queue.sizes) > claims
        await eventually(lambda: len(parts.sending.sent) == 1)


async def test_an_outage_of_the_database_ends_nothing(parts: Parts) -> None:
    parts.queue.pending = [delivery()]
    parts.queue.failures = [OSError("connection refused")] * 2
    parts.sending.may_end.set()
    async with running(parts.senders.run):
        await eventually(lambda: len(parts.sending.sent) == 1)


async def test_one_delivery_at_a_time_is_tried_during_an_outage(parts: Parts) -> None:
    parts.queue.pending = [delivery() for _ in range(40)]
    parts.sending.fails = True
    parts.sending.may_end.set()
    async with running(parts.senders.run):
        await eventually(lambda: parts.pause.is_outage)
        before = len(parts.queue.sizes)
        await eventually(lambda: len(parts.queue.sizes) >= before + 2)
        assert set(parts.queue.sizes[before + 1 :]) == {1}
        parts.sending.fails = False
        parts.senders.wake()
        await eventually(lambda: not parts.queue.pending)


async def test_a_stop_waits_for_what_is_in_transit(parts: Parts) -> None:
    parts.queue.pending = [delivery()]
    stop = Stop()
    task = asyncio.create_task(parts.senders.run(stop))
    await eventually(lambda: parts.sending.in_transit == 1)
    stop.set()
    done, _ = await asyncio.wait([task], timeout=0.2)
    assert not done
    parts.sending.may_end.set()
    await asyncio.wait_for(task, 30)
    assert len(parts.sending.sent) == 1
