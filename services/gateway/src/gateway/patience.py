"""Who is told to wait and comes back at once is kept waiting, on the connection they came on.

A refusal costs half of what a booking does, and a client that repeats it in a loop gets a
hundred while it should have one: a few thousand of those leave a gateway no time to sell.
So a connection that was told "busy, come back in two seconds" gets its next refusal not
before: whoever comes back earlier, and finds no room, is held until then, and served like
anyone else if there is room by that time. The first refusal is always at once, and so is all
other business on the connection, unless it was pipelined behind the booking. Who opens a new
connection for each attempt pays for that instead.
"""

import asyncio
import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from prometheus_client import Gauge

MOST_HELD = 10_000
"""Requests that may be held; further ones are refused again at once."""

HELD = Gauge("goticket_gateway_throttled_requests", "Requests that came back before their time")

_KEY = "goticket.connection"

Scope = MutableMapping[str, Any]


class Connection:
    """What is remembered of a connection: when it may be refused again, monotonic seconds."""

    __slots__ = ("not_before",)

    def __init__(self) -> None:
        self.not_before = 0.0


def with_connection(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state that the requests of one new connection share."""
    return {**state, _KEY: Connection()}


class Patience:
    """Holds those who come back early; `clock` returns monotonic seconds."""

    def __init__(self, most: int = MOST_HELD, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._held: set[asyncio.Future[None]] = set()
        self._closed = False

    def close(self) -> None:
        """Hold nobody any more: the gateway stops."""
        self._closed = True
        for turn in self._held:
            _come(turn)

    def note(self, scope: Scope, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Remember what a refusal asks of the caller: its Retry-After, in seconds."""
        connection = _connection_of(scope)
        seconds = dict(headers).get(b"retry-after", b"")
        if connection is not None and seconds.isdigit():
            connection.not_before = self._clock() + int(seconds)

    async def hold(self, scope: Scope) -> bool:
        """Wait until the caller may come back; False, at once, where nobody told them to wait."""
        connection = _connection_of(scope)
        if connection is None or self._closed or len(self._held) >= self._most:
            return False
        seconds = connection.not_before - self._clock()
        if seconds <= 0:
            return False
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        timer = loop.call_later(seconds, _come, turn)
        self._held.add(turn)
        HELD.inc()
        try:
            await turn
        finally:
            timer.cancel()
            self._held.discard(turn)
            HELD.dec()
        return True


def _come(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


def _connection_of(scope: Scope) -> Connection | None:
    """The connection of a request; None behind a server that does not tell."""
    found: Connection | None = scope.get("state", {}).get(_KEY)
    return found
