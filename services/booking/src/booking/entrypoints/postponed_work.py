"""Postpones work that failed, with growing delays, so that it cannot hold up other work."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

FIRST_DELAY = timedelta(seconds=1)
LONGEST_DELAY = timedelta(minutes=1)


@dataclass(frozen=True)
class _Postponement:
    failures: int
    until: datetime


class PostponedWork:
    """The keys of failed work and when each is due again: after 1, 2, 4, … s, at most a minute.

    It is kept in memory: after a restart, each key fails once more before it is postponed.
    """

    def __init__(self) -> None:
        self._postponements: dict[Hashable, _Postponement] = {}
        self._seen: set[Hashable] = set()

    def is_due(self, key: Hashable, now: datetime) -> bool:
        """Return whether the work of `key` may be tried; true unless it has failed recently."""
        self._seen.add(key)
        postponement = self._postponements.get(key)
        return postponement is None or now >= postponement.until

    def postpone(self, keys: Iterable[Hashable], now: datetime) -> None:
        """Record a failure of each key."""
        for key in keys:
            previous = self._postponements.get(key)
            failures = previous.failures + 1 if previous else 1
            delay = min(FIRST_DELAY * 2 ** min(failures - 1, 10), LONGEST_DELAY)
            self._postponements[key] = _Postponement(failures, now + delay)

    def end_round(self, *, complete: bool = True) -> None:
        """Forget the keys that were not seen in a complete round: their work is done."""
        if complete:
            self._postponements = {
                key: postponement
                for key, postponement in self._postponements.items()
                if key in self._seen
            }
        self._seen.clear()
