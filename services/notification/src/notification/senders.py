"""The senders of one group: claim pending deliveries and send several at once."""

import asyncio
from collections.abc import Callable, Coroutine

from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.postgres import is_transient
from goticket_platform.retry import Outage, retry_until_stopped

from notification.delivery_queue import Delivery, DeliveryQueue, SenderGroup
from notification.outage_pause import OutagePause

POLL_SECONDS = 1.0
"""A delivery that another worker has enqueued or released is found within this time."""
DRAIN_SECONDS = 15.0
"""Time limit of e-mails in progress after the stop; shorter than the process's grace period."""

logger = get_logger(__name__)

Send = Callable[[Delivery, asyncio.Semaphore, Callable[[], bool]], Coroutine[None, None, None]]


class Senders:
    """Keeps up to `connections` e-mails in transit, and as many prepared.

    The prepared ones share a claim and a read of their bookings.
    """

    def __init__(
        self,
        group: SenderGroup,
        connections: int,
        queue: DeliveryQueue,
        send: Send,
        pause: OutagePause,
    ) -> None:
        self._group = group
        self._limit = 2 * connections
        self._smallest_claim = max(1, connections // 2)
        self._queue = queue
        self._send = send
        self._pause = pause
        self._connections = asyncio.Semaphore(connections)
        self._in_progress: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._may_be_pending = True

    def wake(self) -> None:
        """Report that deliveries may be pending."""
        self._may_be_pending = True
        self._changed.set()

    async def run(self, stop: Stop) -> None:
        """Send until `stop`, through outages of PostgreSQL; then finish those in transit."""
        try:
            await retry_until_stopped(
                stop,
                lambda outage: self._claim_until(stop, outage),
                name=f"{self._group} senders",
                is_expected=is_transient,
            )
        finally:
            await self._drain()

    async def _claim_until(self, stop: Stop, outage: Outage) -> None:
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._changed.set())
        try:
            while not stop.is_set():
                self._changed.clear()
                size = self._claim_size()
                if size:
                    await self._claim(size, stop)
                    outage.end()
                else:
                    await self._wait()
        finally:
            stopping.cancel()

    def _claim_size(self) -> int:
        """Return how many deliveries to claim now."""
        if not self._may_be_pending or self._pause.remaining:
            return 0
        room = self._limit - len(self._in_progress)
        if self._pause.is_outage:  # try one
            return 0 if self._in_progress else 1
        return room if room >= self._smallest_claim else 0

    async def _claim(self, size: int, stop: Stop) -> None:
        self._may_be_pending = False  # before the claim: a wake-up during it counts
        claimed = await self._queue.claim(self._group, size)
        if len(claimed) > 0:
            self._may_be_pending = True
        for delivery in claimed:
            task = asyncio.create_task(self._send(delivery, self._connections, stop.is_set))
            self._in_progress.add(task)
            task.add_done_callback(self._on_done)

    async def _wait(self) -> None:
        timeout = self._pause.remaining or POLL_SECONDS
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            self._may_be_pending = True

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._in_progress.discard(task)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()):
            logger.error(
                "outcome not recorded",
                reason=type(error).__name__,
                exc_info=None if is_transient(error) else error,
            )

    async def _drain(self) -> None:
        """Let e-mails in transit finish; their deliveries would be repeated otherwise."""
        if self._in_progress:
            _, unfinished = await asyncio.wait(self._in_progress, timeout=DRAIN_SECONDS)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
