"""Pauses claims while a dependency of all e-mails is unavailable."""

import time
from collections.abc import Callable

FIRST_SECONDS = 0.2
LONGEST_SECONDS = 5.0


class OutagePause:
    """Grows from FIRST_SECONDS to LONGEST_SECONDS while every attempt meets an outage.

    After each pause one delivery at a time is tried. So an outage does not render each waiting
    e-mail in vain, and its end is found within LONGEST_SECONDS.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = 0.0
        self._ends_at = 0.0

    @property
    def is_outage(self) -> bool:
        """Whether the last attempt met an outage."""
        return self._seconds > 0

    @property
    def remaining(self) -> float:
        """Seconds until the next delivery may be tried."""
        return max(0.0, self._ends_at - self._clock())

    def begin(self) -> None:
        """Report an outage; those during a pause have the same cause and do not prolong it."""
        if self.remaining == 0:
            self._seconds = min(max(FIRST_SECONDS, 2 * self._seconds), LONGEST_SECONDS)
            self._ends_at = self._clock() + self._seconds

    def end(self) -> None:
        """Report that an e-mail was sent."""
        self._seconds = self._ends_at = 0.0
