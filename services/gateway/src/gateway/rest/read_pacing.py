"""Gives bookings priority over reads while bookings are in progress.

A booking needs several turns of the event loop: the request, the call to booking, its response.
Each turn also answers every read that has arrived, and during a sale far more clients read than
buy. So while a booking is in progress, a turn answers at most `max_per_turn` reads. Further
reads wait for the next turn in their order of arrival; no read is rejected.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from prometheus_client import Counter

MAX_PER_TURN = 8
"""Less than a millisecond of work, so that a turn stays short."""

DELAYED = Counter("goticket_reads_delayed", "Reads that waited because bookings were in progress")


class ReadPacer:
    """Limits the reads per turn; `is_booking` returns whether a booking is in progress."""

    def __init__(self, is_booking: Callable[[], bool], max_per_turn: int = MAX_PER_TURN) -> None:
        self._is_booking = is_booking
        self._max_per_turn = max_per_turn
        self._left = max_per_turn
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_scheduled = False

    async def admit(self) -> None:
        """Return when the read may be answered, at once if no booking is in progress."""
        if not self._waiting:
            if not self._is_booking():
                return
            if self._left > 0:
                self._left -= 1
                self._schedule()
                return
        DELAYED.inc()
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._schedule()
        await turn

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._is_scheduled = False
        self._left = self._max_per_turn
        while self._waiting and (self._left > 0 or not self._is_booking()):
            turn = self._waiting.popleft()
            if not turn.done():  # else the client has disconnected
                turn.set_result(None)
                self._left -= 1
        if self._waiting:
            self._schedule()
