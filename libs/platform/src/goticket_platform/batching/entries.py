"""A waiting request, on its own or submitted with others."""

import asyncio
import contextvars
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from goticket_platform.batching.batch import InFlightBatch
    from goticket_platform.batching.queues import KeyQueue

KeyT = TypeVar("KeyT", bound=Hashable)
RequestT = TypeVar("RequestT")
OutcomeT = TypeVar("OutcomeT")


@dataclass(slots=True, eq=False)
class Entry(Generic[KeyT, RequestT, OutcomeT]):
    """A request in a queue or in a batch.

    `number` is the order of arrival, `deadline` the time until which the caller waits.
    `context`, if any, is the one in which a batch of this request alone runs.
    """

    request: RequestT
    queue: "KeyQueue[KeyT, RequestT, OutcomeT]"
    number: int
    deadline: float
    context: contextvars.Context | None
    future: asyncio.Future[OutcomeT | Exception]
    """The future that the caller awaits."""
    batch: "InFlightBatch[KeyT, RequestT, OutcomeT] | None" = None

    @property
    def is_pending(self) -> bool:
        """Whether the caller still waits for the outcome."""
        return not self.future.done()

    def resolve(self, outcome: OutcomeT | Exception) -> None:
        """Set the outcome, unless there is one."""
        if not self.future.done():
            self.future.set_result(outcome)


class Outcomes(Generic[OutcomeT]):
    """The outcomes of requests that were submitted together; `future` is done with the last."""

    __slots__ = ("_unresolved", "future", "values")

    def __init__(self, size: int) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.values: list[OutcomeT | Exception | None] = [None] * size
        self._unresolved = size

    def resolve(self, index: int, outcome: OutcomeT | Exception) -> None:
        """Set the outcome of a request that has none yet."""
        self.values[index] = outcome
        self._unresolved -= 1
        if not self._unresolved and not self.future.done():
            self.future.set_result(None)


@dataclass(slots=True, eq=False, kw_only=True)
class GroupEntry(Entry[KeyT, RequestT, OutcomeT]):
    """One of several requests that were submitted together; `future` is the one of all."""

    outcomes: Outcomes[OutcomeT]
    index: int
    is_resolved: bool = False

    @property
    def is_pending(self) -> bool:
        """Whether the caller still waits for the outcome."""
        return not self.is_resolved and not self.future.done()

    def resolve(self, outcome: OutcomeT | Exception) -> None:
        """Set the outcome, unless there is one."""
        if not self.is_resolved:
            self.is_resolved = True
            self.outcomes.resolve(self.index, outcome)
