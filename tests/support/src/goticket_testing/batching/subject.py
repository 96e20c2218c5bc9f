"""The interface of a use of batching to the models, and the requests that they submit."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias
from uuid import UUID

from goticket_platform.batching import BatchingLimits


class BrokenRequestError(Exception):
    """A request that fails every batch it is in."""


class TransientError(Exception):
    """The connection is lost before the commit, or after it: then its answer is lost."""


@dataclass(eq=False)
class ModelRequest:
    """A request for tickets of one event; `number` is the order of arrival."""

    number: int
    event_id: UUID
    quantity: int = 1
    is_broken: bool = False
    task: "asyncio.Task[list[str | Exception]] | None" = None
    index: int = 0
    """Its position among the outcomes of its call."""


Commit: TypeAlias = Callable[[Sequence[ModelRequest]], Awaitable[Sequence[str | None]]]
"""Decides a batch as a whole; None leaves a request of a batch of several events undecided."""


class Subject(Protocol):
    """A use of batching in front of a `Commit`."""

    @property
    def waiting(self) -> int:
        """Number of waiting requests."""
        ...

    @property
    def queues(self) -> int:
        """Number of events with requests that wait or are in flight."""
        ...

    async def submit(
        self, requests: Sequence[ModelRequest], deadline: float
    ) -> list[str | Exception]:
        """Return an outcome for each request. `deadline` is ignored if the use has its own."""
        ...

    async def close(self) -> None:
        """Answer all requests."""
        ...


@dataclass(frozen=True)
class Use:
    """A use of batching: its factory and its guarantees."""

    limits: BatchingLimits
    open: Callable[[Commit, BatchingLimits, Callable[[], float]], Subject]
    rejections: tuple[type[Exception], ...]
    """Errors of requests that were rejected, or whose batch failed for a transient reason."""
    retries: bool
    """Whether a failing batch is retried and split, and undecided requests are requeued."""
