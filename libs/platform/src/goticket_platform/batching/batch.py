"""A batch that was dispatched and has not completed."""

import asyncio
import contextvars
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic

from goticket_platform.batching.entries import Entry, KeyT, OutcomeT, RequestT
from goticket_platform.batching.queues import KeyQueue


@dataclass(slots=True, eq=False)
class InFlightBatch(Generic[KeyT, RequestT, OutcomeT]):
    """The requests of one call or transaction; `sizes` counts them by key queue."""

    entries: Sequence[Entry[KeyT, RequestT, OutcomeT]]
    sizes: Sequence[tuple[KeyQueue[KeyT, RequestT, OutcomeT], int]]
    is_solo: bool
    """Whether its key had to have a batch of its own."""
    requeued: Sequence[Entry[KeyT, RequestT, OutcomeT]] = ()
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """Number of its requests."""
        return len(self.entries)

    @property
    def has_one_key(self) -> bool:
        """Whether all its requests have the same key."""
        return len(self.sizes) == 1

    def requeue(self, entries: Sequence[Entry[KeyT, RequestT, OutcomeT]]) -> None:
        """Put these back at the head of their queues on completion.

        Each of their keys is isolated: its next batch is a solo batch.
        """
        self.requeued = entries

    def context(self) -> contextvars.Context:
        """Return the context of the execution: a single request's own context, if it has one.

        A batch of several requests belongs to no single trace or caller.
        """
        if len(self.entries) == 1:
            context = self.entries[0].context
            if context is not None:
                return context.copy()
        return contextvars.Context()

    def cancel_if_unwanted(self) -> None:
        """Cancel the execution if no caller waits for any outcome."""
        if self.task and not any(entry.is_pending for entry in self.entries):
            self.task.cancel()
