"""Executes batches as transactions: retries transient failures, isolates failing requests."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic

from goticket_platform.batching.batch import InFlightBatch
from goticket_platform.batching.entries import Entry, KeyT, OutcomeT, RequestT

RETRY_DELAYS = (0.02, 0.1, 0.3)
"""Seconds before each retry of a batch that failed for a transient reason."""


class RetryingExecutor(Generic[KeyT, RequestT, OutcomeT]):
    """Executes a batch with `commit`, so that one failing request fails no other.

    `commit` decides requests in their order, in one transaction, with an outcome for each. If
    it raises an error, either nothing was committed, or the next call detects the commit.

    In a batch of several keys it may return None for a request: the request is requeued and its
    key is isolated. A batch of several keys that fails permanently is requeued, key by key; a
    batch of one key is split in halves until the failing request is alone. The order of a key's
    requests is kept if at most one batch of a key is in flight.

    `late_error` makes the error of a request whose deadline has passed. `on_attempt` is called
    with the size of each commit.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[RequestT]], Awaitable[Sequence[OutcomeT | None]]],
        *,
        is_transient: Callable[[BaseException], bool],
        late_error: Callable[[], Exception],
        clock: Callable[[], float],
        retry_delays: Sequence[float] = RETRY_DELAYS,
        on_attempt: Callable[[int], None] = lambda _size: None,
    ) -> None:
        self._commit = commit
        self._is_transient = is_transient
        self._late_error = late_error
        self._clock = clock
        self._retry_delays = retry_delays
        self._on_attempt = on_attempt

    async def __call__(self, batch: InFlightBatch[KeyT, RequestT, OutcomeT]) -> None:
        """Resolve or requeue all requests of the batch."""
        await self._execute(batch, batch.entries)

    async def _execute(
        self,
        batch: InFlightBatch[KeyT, RequestT, OutcomeT],
        entries: Sequence[Entry[KeyT, RequestT, OutcomeT]],
    ) -> None:
        failure: Exception | None = None
        for delay in (0.0, *self._retry_delays):
            if delay:
                await asyncio.sleep(delay)
            entries = self._pending(entries)
            if not entries:
                return
            failure = await self._attempt(batch, entries)
            if failure is None:
                return
            if not self._is_transient(failure):
                break
        if failure is None:
            return
        if len(entries) == 1 or self._is_transient(failure):
            for entry in entries:
                entry.resolve(failure)
        elif not batch.has_one_key:
            batch.requeue(entries)
        else:
            half = len(entries) // 2
            await self._execute(batch, entries[:half])
            await self._execute(batch, entries[half:])

    def _pending(
        self, entries: Sequence[Entry[KeyT, RequestT, OutcomeT]]
    ) -> list[Entry[KeyT, RequestT, OutcomeT]]:
        """Reject requests whose deadline has passed; leave out those without a caller."""
        now = self._clock()
        for entry in entries:
            if now >= entry.deadline:
                entry.resolve(self._late_error())
        return [entry for entry in entries if entry.is_pending]

    async def _attempt(
        self,
        batch: InFlightBatch[KeyT, RequestT, OutcomeT],
        entries: Sequence[Entry[KeyT, RequestT, OutcomeT]],
    ) -> Exception | None:
        """Commit once and resolve the requests; return the failure, if any."""
        self._on_attempt(len(entries))
        try:
            decided = await self._decide(batch, entries)
        except Exception as failure:  # noqa: BLE001 - it becomes the outcome of its requests
            return failure
        for entry, outcome in decided:
            if outcome is not None:
                entry.resolve(outcome)
        batch.requeue([entry for entry, outcome in decided if outcome is None])
        return None

    async def _decide(
        self,
        batch: InFlightBatch[KeyT, RequestT, OutcomeT],
        entries: Sequence[Entry[KeyT, RequestT, OutcomeT]],
    ) -> list[tuple[Entry[KeyT, RequestT, OutcomeT], OutcomeT | None]]:
        outcomes = await self._commit([entry.request for entry in entries])
        # All or none: with an outcome too many or too few, none can be assigned.
        decided = list(zip(entries, outcomes, strict=True))
        if batch.has_one_key and any(outcome is None for outcome in outcomes):
            raise ValueError("a batch of one key must be decided")
        return decided
