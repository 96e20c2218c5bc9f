"""Executes concurrent requests together: those that arrive during a call form the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class GroupedCalls(Generic[ItemT, ResultT]):
    """Calls `execute` with up to `max_size` items at once, one call after another.

    There is no timer: an item that finds no call in flight waits only for the end of the current
    turn of the event loop. `execute` returns one result per item, in order.
    """

    def __init__(
        self, execute: Callable[[Sequence[ItemT]], Awaitable[Sequence[ResultT]]], max_size: int
    ) -> None:
        self._execute = execute
        self._max_size = max_size
        self._waiting: deque[tuple[ItemT, asyncio.Future[ResultT]]] = deque()
        self._runner: asyncio.Task[None] | None = None

    async def submit(self, item: ItemT) -> ResultT:
        """Return the item's result.

        A caller that is cancelled leaves its item in the call. If the call fails, its error is
        raised for every item.
        """
        future: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), self._max_size)
                await self._call([self._waiting.popleft() for _ in range(size)])
        finally:
            self._runner = None
            while self._waiting:  # only after a cancellation of this task
                self._waiting.popleft()[1].cancel()

    async def _call(self, batch: Sequence[tuple[ItemT, "asyncio.Future[ResultT]"]]) -> None:
        futures = [future for _, future in batch]
        try:
            results = await self._execute([item for item, _ in batch])
            for future, result in zip(futures, results, strict=True):
                if not future.done():
                    future.set_result(result)
        except Exception as error:  # noqa: BLE001 - every caller gets it
            for future in futures:
                if not future.done():
                    future.set_exception(error)
        finally:
            for future in futures:
                if not future.done():
                    future.cancel()
