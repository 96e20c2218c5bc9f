"""A bounded pool of worker processes.

CPU-bound work of milliseconds in the process of an event loop delays every other request, also
in a thread: threads compete for the interpreter. Worker processes may have a lower priority, so
that the system's scheduler prefers the event loop. Few calls run at once and few wait; further ones
are refused at once, so that their clients come back when there is time.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple

from prometheus_client import Counter

from goticket_platform.logs import get_logger
from goticket_platform.worker_pool.worker import Worker, WorkerDied

NICENESS = 10
"""A tenth of the CPU time that a process of usual priority gets when both want it."""
CALL_SECONDS = 10.0
"""Time limit of a call, including the start of its process, which is ended after it."""
_TRIES = 2
_STOP_SECONDS = 2.0

REFUSED = Counter("goticket_worker_pool_refused", "Calls refused because too many waited", ["pool"])
DIED = Counter("goticket_worker_pool_died", "Worker processes that ended unexpectedly", ["pool"])

ResultT = TypeVar("ResultT")
ArgumentsT = TypeVarTuple("ArgumentsT")

logger = get_logger(__name__)


class PoolBusy(Exception):
    """Too many calls wait already, or the pool is closing."""


class CallFailed(Exception):
    """The worker process died with every try, or took too long."""


@dataclass(eq=False, slots=True)
class _Call:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    outcome: asyncio.Future[Any]
    is_abandoned: Callable[[], bool]

    def settle(self, result: Any = None, failure: BaseException | None = None) -> None:
        """Resume the caller unless it was cancelled."""
        if self.outcome.done():
            return
        if failure is None:
            self.outcome.set_result(result)
        else:
            self.outcome.set_exception(failure)


class WorkerPool:
    """Runs calls in at most `workers` processes; at most `max_waiting` calls wait.

    A process is started when the first call needs it. One that dies is replaced, and its call
    is tried once more; so functions must be safe to repeat.
    """

    def __init__(
        self,
        name: str,
        *,
        max_waiting: int,
        workers: int = 1,
        modules: Sequence[str] = (),
        call_seconds: float = CALL_SECONDS,
        niceness: int = NICENESS,
    ) -> None:
        self._name = name
        self._max_waiting = max_waiting
        self._workers = workers
        self._modules = modules
        self._call_seconds = call_seconds
        self._niceness = niceness
        self._waiting: deque[_Call] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._idle: list[Worker] = []
        self._closing = False

    async def run(
        self, function: Callable[[*ArgumentsT], ResultT], *arguments: *ArgumentsT
    ) -> ResultT:
        """Return the function's result; function, arguments and result are pickled.

        Raises:
            PoolBusy: too many calls wait.
            CallFailed: two processes died, or the call took too long.
        """
        return await self.run_unless(_never, function, *arguments)

    async def run_unless(
        self,
        is_abandoned: Callable[[], bool],
        function: Callable[[*ArgumentsT], ResultT],
        *arguments: *ArgumentsT,
    ) -> ResultT:
        """Do the same for a client that may disconnect while its call waits.

        Its place is given to others then.

        Raises:
            PoolBusy: too many calls wait, or the client has disconnected.
            CallFailed: two processes died, or the call took too long.
        """
        if self._closing or not self._has_room():
            REFUSED.labels(self._name).inc()
            raise PoolBusy
        outcome = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(function, arguments, outcome, is_abandoned))
        self._start_next()
        result: ResultT = await outcome
        return result

    async def close(self) -> None:
        """Finish the calls that run or wait, accept no others, and end the processes."""
        self._closing = True
        while self._running:
            await asyncio.wait(self._running)
        idle, self._idle = self._idle, []
        await asyncio.gather(*(worker.stop(_STOP_SECONDS) for worker in idle))

    def _has_room(self) -> bool:
        if len(self._running) < self._workers or len(self._waiting) < self._max_waiting:
            return True
        for call in [each for each in self._waiting if _is_gone(each)]:
            self._waiting.remove(call)
            call.settle(failure=PoolBusy())
        return len(self._waiting) < self._max_waiting

    def _start_next(self) -> None:
        while self._waiting and len(self._running) < self._workers:
            call = self._waiting.popleft()
            if _is_gone(call):
                call.settle(failure=PoolBusy())
                continue
            task = asyncio.create_task(self._execute(call))
            self._running.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start_next()

    async def _execute(self, call: _Call) -> None:
        """Run the call even if its caller is cancelled meanwhile: the process is busy with it."""
        try:
            for _ in range(_TRIES):
                try:
                    call.settle(await self._attempt(call))
                    return  # noqa: TRY300 - the loop continues only after a death
                except WorkerDied:
                    DIED.labels(self._name).inc()
                    logger.warning("worker process died", pool=self._name)
            call.settle(failure=CallFailed("the worker process died twice"))
        except Exception as error:  # noqa: BLE001 - the caller handles it
            call.settle(failure=error)

    async def _attempt(self, call: _Call) -> Any:
        worker = await self._worker()
        try:
            async with asyncio.timeout(self._call_seconds):
                result = await worker.call(call.function, call.arguments)
        except (WorkerDied, asyncio.CancelledError):
            await worker.stop(0)
            raise
        except TimeoutError:
            # Also a TimeoutError of the function itself; its process is replaced all the same.
            await worker.stop(0)
            raise CallFailed("the call took too long") from None
        except Exception:
            self._idle.append(worker)
            raise
        self._idle.append(worker)
        return result

    async def _worker(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            DIED.labels(self._name).inc()
            await worker.stop(0)
        return await Worker.start(self._niceness, self._modules)


def _is_gone(call: _Call) -> bool:
    return call.outcome.done() or call.is_abandoned()


def _never() -> bool:
    return False
