"""Dispatches waiting requests as batches."""

import asyncio
import contextvars
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Generic, cast

from goticket_platform.batching.admission import Admission
from goticket_platform.batching.batch import InFlightBatch
from goticket_platform.batching.entries import (
    Entry,
    GroupEntry,
    KeyT,
    Outcomes,
    OutcomeT,
    RequestT,
)
from goticket_platform.batching.latency import LatencyEstimator
from goticket_platform.batching.limits import BatchingLimits, Rejection
from goticket_platform.batching.queues import KeyQueue, ReadyQueue


class Batcher(Generic[KeyT, RequestT, OutcomeT]):
    """Groups requests into batches and executes them; the requests of a key keep their order.

    `execute` resolves the entries of a batch, or requeues them; the others are resolved with
    an error when it ends. `key_of` returns a request's key. `error_for` makes the error of a
    rejected request. `clock` returns the time of deadlines in seconds. `on_dispatch` is called
    with the size of each batch.
    """

    def __init__(
        self,
        execute: Callable[[InFlightBatch[KeyT, RequestT, OutcomeT]], Coroutine[Any, Any, None]],
        *,
        key_of: Callable[[RequestT], KeyT],
        error_for: Callable[[Rejection], Exception],
        limits: BatchingLimits,
        clock: Callable[[], float] = time.monotonic,
        on_dispatch: Callable[[int], None] = lambda _size: None,
    ) -> None:
        self._execute = execute
        self._key_of = key_of
        self._error_for = error_for
        self._limits = limits
        self._clock = clock
        self._on_dispatch = on_dispatch
        self._queues: dict[KeyT, KeyQueue[KeyT, RequestT, OutcomeT]] = {}
        self._ready: ReadyQueue[KeyT, RequestT, OutcomeT] = ReadyQueue()
        self._in_flight: dict[asyncio.Task[None], InFlightBatch[KeyT, RequestT, OutcomeT]] = {}
        self._solo_in_flight = 0
        self._latency = LatencyEstimator()
        self._admission = Admission(limits, clock, self._latency)
        self._arrivals = 0
        self._waiting = 0
        self._is_dispatch_scheduled = False
        self._is_stopped = False

    def __len__(self) -> int:
        """Return how many keys have requests that wait or are in flight."""
        return len(self._queues)

    @property
    def waiting(self) -> int:
        """Number of waiting requests, over all keys."""
        return self._waiting

    def rejection_reason(self, key: KeyT, deadline: float) -> Rejection | None:
        """Return the reason to reject a request of this key with this deadline now, if any."""
        return self._admission.rejection_reason(
            self._queues.get(key), deadline, self._waiting, len(self._in_flight)
        )

    async def submit(
        self, request: RequestT, deadline: float, context: contextvars.Context | None = None
    ) -> OutcomeT:
        """Queue a request and return its outcome, or raise it if it is an exception.

        Cancelling removes the request from its queue. A batch whose callers were all cancelled
        is cancelled.

        Raises:
            Exception: the error from `error_for` for a rejection, or the outcome of the request.
        """
        key = self._key_of(request)
        queue = self._queues.get(key)
        if reason := self._admission.rejection_reason(
            queue, deadline, self._waiting, len(self._in_flight)
        ):
            raise self._error_for(reason)
        if queue is None:
            queue = self._queues[key] = KeyQueue(key)
        self._arrivals += 1
        future = asyncio.get_running_loop().create_future()
        entry: Entry[KeyT, RequestT, OutcomeT] = Entry(
            request, queue, self._arrivals, deadline, context, future
        )
        self._append(entry)
        try:
            outcome = await future
        except asyncio.CancelledError:
            self._remove((entry,))
            raise
        if isinstance(outcome, Exception):
            try:
                raise outcome
            finally:
                # Its traceback has this frame: a cycle would wait for the garbage collector.
                del outcome, future, entry
        return cast("OutcomeT", outcome)

    async def submit_many(
        self,
        requests: Sequence[RequestT],
        deadline: float,
        context: contextvars.Context | None = None,
    ) -> list[OutcomeT | Exception]:
        """Queue the requests in their order; return the outcome of each.

        A rejected request has the exception that `error_for` makes. Cancelling removes the
        requests that are not in flight.
        """
        if not requests:
            return []
        outcomes: Outcomes[OutcomeT] = Outcomes(len(requests))
        entries = []
        for index, request in enumerate(requests):
            key = self._key_of(request)
            queue = self._queues.get(key)
            if reason := self._admission.rejection_reason(
                queue, deadline, self._waiting, len(self._in_flight)
            ):
                outcomes.resolve(index, self._error_for(reason))
                continue
            if queue is None:
                queue = self._queues[key] = KeyQueue(key)
            self._arrivals += 1
            entry: GroupEntry[KeyT, RequestT, OutcomeT] = GroupEntry(
                request,
                queue,
                self._arrivals,
                deadline,
                context,
                outcomes.future,
                outcomes=outcomes,
                index=index,
            )
            self._append(entry)
            entries.append(entry)
        try:
            await outcomes.future
        except asyncio.CancelledError:
            self._remove(entries)
            raise
        return cast("list[OutcomeT | Exception]", outcomes.values)

    async def close(self, timeout: float = 0.0) -> None:
        """Reject new requests, complete waiting ones for `timeout` seconds, reject the rest."""
        self._admission.is_closed = True
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        if timeout:
            self._dispatch_ready()
        while self._in_flight and (time_left := end - loop.time()) > 0:
            await asyncio.wait(
                self._in_flight, timeout=time_left, return_when=asyncio.FIRST_COMPLETED
            )
            self._dispatch_ready()
        self._is_stopped = True
        self._reject_waiting()
        if tasks := list(self._in_flight):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._reject_waiting()  # those that the cancelled batches requeued

    def _append(self, entry: Entry[KeyT, RequestT, OutcomeT]) -> None:
        queue = entry.queue
        queue.entries[entry.number] = entry
        self._waiting += 1
        if not queue.is_ready:
            self._make_ready(queue)

    def _remove(self, entries: Collection[Entry[KeyT, RequestT, OutcomeT]]) -> None:
        """Remove requests whose caller was cancelled; cancel batches without callers."""
        for entry in entries:
            if entry.queue.entries.pop(entry.number, None):
                self._waiting -= 1
        for batch in {entry.batch for entry in entries if entry.batch}:
            batch.cancel_if_unwanted()

    def _make_ready(self, queue: KeyQueue[KeyT, RequestT, OutcomeT]) -> None:
        if queue.entries and not queue.is_ready and queue.may_dispatch(self._limits, self._clock):
            self._ready.push(queue)
            self._schedule_dispatch()

    def _schedule_dispatch(self) -> None:
        """Dispatch at the end of this turn of the loop: requests of the same turn are included."""
        if not self._is_dispatch_scheduled and len(self._in_flight) < self._limits.max_in_flight:
            self._is_dispatch_scheduled = True
            asyncio.get_running_loop().call_soon(self._dispatch_ready)

    def _dispatch_ready(self) -> None:
        self._is_dispatch_scheduled = False
        if self._is_stopped:
            return
        while len(self._in_flight) < self._limits.max_in_flight and (batch := self._next_batch()):
            self._dispatch(batch)

    def _next_batch(self) -> InFlightBatch[KeyT, RequestT, OutcomeT] | None:
        """Take the first ready queue alone if it must be solo, else all small ones that fit.

        None if no request is ready, or only requests whose solo batches have to wait.
        """
        limits = self._limits
        entries: list[Entry[KeyT, RequestT, OutcomeT]] = []
        sizes: list[tuple[KeyQueue[KeyT, RequestT, OutcomeT], int]] = []
        skipped: list[KeyQueue[KeyT, RequestT, OutcomeT]] = []
        is_solo = False
        while self._ready and not is_solo and len(entries) < limits.max_batch_size:
            queue = self._ready.pop()
            if not queue.entries:
                self._remove_if_idle(queue)  # its callers were cancelled
                continue
            if not queue.may_dispatch(limits, self._clock):
                continue  # the completion of its batch makes it ready again
            must_be_solo = queue.is_isolated or limits.must_be_solo(len(queue.entries))
            if must_be_solo and (entries or not self._may_dispatch_solo()):
                skipped.append(queue)
                continue
            if len(entries) + len(queue.entries) > limits.max_batch_size and entries:
                skipped.append(queue)
                break
            if taken := self._take(queue):
                is_solo = must_be_solo
                entries += taken
                sizes.append((queue, len(taken)))
            else:
                self._remove_if_idle(queue)
        for queue in skipped:
            self._ready.push(queue)
        return InFlightBatch(entries, sizes, is_solo) if entries else None

    def _may_dispatch_solo(self) -> bool:
        most = self._limits.max_solo_in_flight
        return most is None or self._solo_in_flight < most

    def _take(
        self, queue: KeyQueue[KeyT, RequestT, OutcomeT]
    ) -> list[Entry[KeyT, RequestT, OutcomeT]]:
        taken, dropped = queue.take(self._limits, self._clock())
        self._waiting -= len(taken) + len(dropped)
        for entry in dropped:
            if entry.is_pending:
                entry.resolve(self._error_for(Rejection.LATE))
        return taken

    def _dispatch(self, batch: InFlightBatch[KeyT, RequestT, OutcomeT]) -> None:
        now = self._clock()
        self._on_dispatch(batch.size)
        self._latency.dispatch(now, batch.size)
        self._solo_in_flight += batch.is_solo
        for entry in batch.entries:
            entry.batch = batch
        batch.task = asyncio.get_running_loop().create_task(
            self._execute(batch), context=batch.context()
        )
        self._in_flight[batch.task] = batch
        # Not a `finally` of the task: one that is cancelled before its start has none.
        batch.task.add_done_callback(self._complete)
        for queue, size in batch.sizes:
            queue.latency.dispatch(now, size)
            self._make_ready(queue)

    def _complete(self, task: asyncio.Task[None]) -> None:
        """Requeue undecided requests, resolve the other ones, make the queues ready again."""
        batch = self._in_flight.pop(task)
        self._solo_in_flight -= batch.is_solo
        for entry in reversed(batch.requeued):
            entry.batch = None
            if entry.is_pending:
                entry.queue.requeue(entry)
                self._waiting += 1
        for entry in batch.entries:
            if entry.batch is batch:
                entry.batch = None  # a cycle would wait for the garbage collector
                if entry.is_pending:
                    entry.resolve(self._error_for(Rejection.ABORTED))
        now = self._clock()
        self._latency.complete(now, batch.size)
        for queue, size in batch.sizes:
            queue.latency.complete(now, size)
            self._make_ready(queue)
            self._remove_if_idle(queue)
        if self._ready:
            self._schedule_dispatch()

    def _reject_waiting(self) -> None:
        while self._ready:
            self._ready.pop()
        for queue in list(self._queues.values()):
            for entry in queue.entries.values():
                entry.resolve(self._error_for(Rejection.CLOSED))
            self._waiting -= len(queue.entries)
            queue.entries.clear()
            self._remove_if_idle(queue)

    def _remove_if_idle(self, queue: KeyQueue[KeyT, RequestT, OutcomeT]) -> None:
        if queue.is_idle and self._queues.get(queue.key) is queue:
            del self._queues[queue.key]
