"""Loads of single keys that share calls."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

MAX_BATCH = 100
"""Keys that one batch loads at most."""
MAX_BATCHES_IN_FLIGHT = 2
STALL_SECONDS = 0.5
"""A batch in flight for longer is stalled. It no longer counts, so that one frozen server does
not delay all requests until its calls have timed out."""


@dataclass(eq=False, slots=True)
class _Failure:
    error: Exception


class BatchLoader(Generic[KeyT, ValueT]):
    """Loads single keys in batches.

    Keys that are requested while batches are in flight form the next batch. A batch never
    answers a request that came after it was sent, so every value is newer than its request.
    Keys whose callers were all cancelled while they waited are not sent. `clock` returns
    monotonic seconds.
    """

    def __init__(
        self,
        load_batch: Callable[[Sequence[KeyT]], Awaitable[Mapping[KeyT, ValueT]]],
        *,
        max_batch: int = MAX_BATCH,
        max_in_flight: int = MAX_BATCHES_IN_FLIGHT,
        stall_seconds: float = STALL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load_batch = load_batch
        self._max_batch = max_batch
        self._max_in_flight = max_in_flight
        self._stall_seconds = stall_seconds
        self._clock = clock
        self._waiting: dict[KeyT, list[asyncio.Future[Any]]] = {}
        self._in_flight: dict[asyncio.Task[None], float] = {}
        """When each batch was sent."""
        self._scheduled = False

    async def load(self, key: KeyT) -> ValueT | None:
        """Return the value of a key; None when the batch had none.

        Raises:
            Exception: what `load_batch` raised.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.setdefault(key, []).append(future)
        self._schedule(loop)
        outcome = await future
        if isinstance(outcome, _Failure):
            # Several tasks raise it: without this each would add its traceback.
            raise outcome.error.with_traceback(None)
        loaded: ValueT | None = outcome
        return loaded

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._scheduled and self._may_send():
            # At the end of the turn of the loop: all requests of the turn share the batch.
            self._scheduled = True
            loop.call_soon(self._send)

    def _may_send(self) -> bool:
        if len(self._in_flight) < self._max_in_flight:
            return True
        stalled = self._clock() - self._stall_seconds
        return sum(sent > stalled for sent in self._in_flight.values()) < self._max_in_flight

    def _send(self) -> None:
        self._scheduled = False
        while self._waiting and self._may_send():
            batch = self._take()
            if not batch:
                continue
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._in_flight[task] = self._clock()
            task.add_done_callback(self._done)

    def _take(self) -> dict[KeyT, list[asyncio.Future[Any]]]:
        """Remove the keys of the next batch; leave out those without a waiting caller."""
        keys = list(islice(self._waiting, self._max_batch))
        batch = {key: self._waiting.pop(key) for key in keys}
        return {
            key: futures
            for key, futures in batch.items()
            if not all(future.done() for future in futures)
        }

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._in_flight[task]
        self._send()

    async def _run(self, batch: Mapping[KeyT, list[asyncio.Future[Any]]]) -> None:
        try:
            found = await self._load_batch(list(batch))
        except Exception as error:  # noqa: BLE001 - passed on to every caller
            failure = _Failure(error)
            for futures in batch.values():
                _resolve(futures, failure)
            return
        for key, futures in batch.items():
            _resolve(futures, found.get(key))


def _resolve(futures: Sequence[asyncio.Future[Any]], outcome: object) -> None:
    for future in futures:
        if not future.done():
            future.set_result(outcome)
