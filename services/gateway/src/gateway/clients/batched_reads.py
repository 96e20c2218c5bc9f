"""Reads that share a call with those that arrive while other calls are in flight.

- An idle gateway sends a read at once, as a call of its own that keeps its trace. There are
  no timers.
- Each read has its own request, result and deadline: callers never share an answer.
- A read whose caller was cancelled while it waited is not sent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import grpc
from goticket_platform.caching import BatchLoader
from goticket_platform.logs import get_logger
from goticket_platform.rpc.client import READ_SECONDS
from goticket_platform.rpc.errors import DEADLINE_EXCEEDED, INTERNAL, RemoteError
from prometheus_client import Histogram

from gateway.http.request_context import RequestContext, batch_context

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
Request_contra = TypeVar("Request_contra", contravariant=True)
Response_co = TypeVar("Response_co", covariant=True)

BATCH_SIZE = Histogram(
    "goticket_gateway_read_batch_size",
    "Reads sent in one call",
    ["kind"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Read(Generic[RequestT]):
    """One read; `deadline` by the event loop's clock. As a key it equals only itself."""

    request: RequestT
    context: RequestContext
    deadline: float


class Reads(Protocol[Request_contra, Response_co]):
    """Sends reads of one kind."""

    async def read(self, request: Request_contra, context: RequestContext) -> Response_co:
        """Return the response to `request`. Raises `RemoteError`."""
        ...


class BatchedReads(Generic[RequestT, ResponseT]):
    """Sends reads of one kind, such as "bookings"; each is answered within `seconds`.

    `send_one` and `send_many` send requests with a timeout in seconds and raise RemoteError.
    `send_many` returns a result for each request, in their order.
    """

    def __init__(
        self,
        kind: str,
        send_one: Callable[[RequestT, float], Awaitable[ResponseT]],
        send_many: Callable[
            [Sequence[RequestT], float], Awaitable[Sequence[ResponseT | RemoteError]]
        ],
        *,
        max_batch: int,
        seconds: float = READ_SECONDS,
    ) -> None:
        self._name = f"batched reads of {kind}"
        self._send_one = send_one
        self._send_many = send_many
        self._seconds = seconds
        self._batch_size = BATCH_SIZE.labels(kind)
        self._loader: BatchLoader[_Read[RequestT], ResponseT | RemoteError] = BatchLoader(
            self._load, max_batch=max_batch
        )

    async def read(self, request: RequestT, context: RequestContext) -> ResponseT:
        """Return the response to `request`.

        Raises:
            RemoteError: the service refused the request, or did not answer in time.
        """
        deadline = asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout_at(deadline):
                outcome = await self._loader.load(_Read(request, context, deadline))
        except TimeoutError:
            raise RemoteError(
                grpc.StatusCode.DEADLINE_EXCEEDED, DEADLINE_EXCEEDED, "Deadline exceeded."
            ) from None
        if outcome is None:
            raise _internal()
        if isinstance(outcome, RemoteError):
            raise outcome
        return outcome

    async def _load(
        self, reads: Sequence[_Read[RequestT]]
    ) -> Mapping[_Read[RequestT], ResponseT | RemoteError]:
        self._batch_size.observe(len(reads))
        outcomes: Sequence[ResponseT | RemoteError]
        try:
            outcomes = await self._send(reads)
        except RemoteError as error:
            outcomes = [error.copy() for _ in reads]
        except Exception as error:
            logger.exception("reading failed", error=type(error).__name__)
            outcomes = [_internal() for _ in reads]
        return dict(zip(reads, outcomes, strict=True))

    async def _send(self, reads: Sequence[_Read[RequestT]]) -> Sequence[ResponseT | RemoteError]:
        # A read that ends earlier has left by then.
        latest = max(read.deadline for read in reads)
        timeout = max(latest - asyncio.get_running_loop().time(), 0)
        if len(reads) == 1:
            [read] = reads
            read.context.enter()
            return [await self._send_one(read.request, timeout)]
        with batch_context(self._name, [read.context for read in reads]):
            outcomes = await self._send_many([read.request for read in reads], timeout)
        if len(outcomes) != len(reads):
            raise ValueError(f"{len(outcomes)} results for {len(reads)} requests")
        return outcomes


class UnbatchedReads(Generic[RequestT, ResponseT]):
    """Sends each read in a call of its own, as `BatchedReads` does in an idle gateway."""

    def __init__(
        self,
        send_one: Callable[[RequestT, float], Awaitable[ResponseT]],
        *,
        seconds: float = READ_SECONDS,
    ) -> None:
        self._send_one = send_one
        self._seconds = seconds

    async def read(self, request: RequestT, context: RequestContext) -> ResponseT:
        """Return the response to `request`. Raises `RemoteError`."""
        context.enter()
        return await self._send_one(request, self._seconds)


def _internal() -> RemoteError:
    return RemoteError(grpc.StatusCode.INTERNAL, INTERNAL, "The read failed.")
