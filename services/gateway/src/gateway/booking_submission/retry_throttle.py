"""Delays requests that ignore Retry-After.

A rejection costs half as much as a booking. A client that retries in a loop causes a hundred
rejections instead of one, so a few thousand such clients leave no time for bookings. After a
rejection with "Retry-After: 2", a connection gets its next rejection two seconds later at the
earliest. An earlier request that finds no capacity is delayed until then. It is served if
there is capacity by that time.

The first rejection is always immediate. Other requests on the connection are not delayed,
unless they were pipelined behind the booking. A client that opens a connection for each attempt
has the cost of the connections instead.
"""

import asyncio
import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from prometheus_client import Gauge

MAX_DELAYED = 10_000
"""Requests that may be delayed at once; further ones are rejected immediately."""

THROTTLED = Gauge(
    "goticket_gateway_throttled_requests", "Requests delayed because they ignored Retry-After"
)

_KEY = "goticket.connection"

Scope = MutableMapping[str, Any]


class ConnectionState:
    """The state of a connection: `retry_at` is the earliest next rejection (monotonic seconds)."""

    __slots__ = ("retry_at",)

    def __init__(self) -> None:
        self.retry_at = 0.0


def with_connection_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state that the requests of one new connection share."""
    return {**state, _KEY: ConnectionState()}


class RetryThrottle:
    """Delays requests that ignore Retry-After; `clock` returns monotonic seconds."""

    def __init__(
        self, max_delayed: int = MAX_DELAYED, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_delayed = max_delayed
        self._clock = clock
        self._delayed: set[asyncio.Future[None]] = set()
        self._closed = False

    def close(self) -> None:
        """Release every delayed request and delay no further one: the gateway stops."""
        self._closed = True
        for released in self._delayed:
            _release(released)

    def record_rejection(self, scope: Scope, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Record the Retry-After (seconds) of a rejection for its connection."""
        connection = _connection_of(scope)
        seconds = dict(headers).get(b"retry-after", b"")
        if connection is not None and seconds.isdigit():
            connection.retry_at = self._clock() + int(seconds)

    async def delay(self, scope: Scope) -> bool:
        """Wait until the connection may retry; return whether the request was delayed at all."""
        connection = _connection_of(scope)
        if connection is None or self._closed or len(self._delayed) >= self._max_delayed:
            return False
        seconds = connection.retry_at - self._clock()
        if seconds <= 0:
            return False
        loop = asyncio.get_running_loop()
        released = loop.create_future()
        timer = loop.call_later(seconds, _release, released)
        self._delayed.add(released)
        THROTTLED.inc()
        try:
            await released
        finally:
            timer.cancel()
            self._delayed.discard(released)
            THROTTLED.dec()
        return True


def _release(released: asyncio.Future[None]) -> None:
    if not released.done():
        released.set_result(None)


def _connection_of(scope: Scope) -> ConnectionState | None:
    """Return the state of a request's connection; None behind a server that has none."""
    found: ConnectionState | None = scope.get("state", {}).get(_KEY)
    return found
