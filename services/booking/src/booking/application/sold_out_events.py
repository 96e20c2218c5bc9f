"""Which events have probably nothing left, judging by their latest orders."""

from collections.abc import Iterable
from uuid import UUID

MOST_EVENTS = 10_000
"""Beyond that the longest known is forgotten, which costs a little time and nothing else."""


class SoldOutEvents:
    """A guess that saves work: nobody is refused because of it alone."""

    def __init__(self) -> None:
        self._events: dict[UUID, None] = {}

    def __contains__(self, event_id: UUID) -> bool:
        """Tell whether the latest orders for the event came too late."""
        return event_id in self._events

    def note(self, event_ids: Iterable[UUID], sold_out: Iterable[bool | None]) -> None:
        """Take the latest orders into account: too late, granted, or None for neither."""
        latest: dict[UUID, bool] = {}
        for event_id, too_late in zip(event_ids, sold_out, strict=True):
            if too_late is not None:
                latest[event_id] = latest.get(event_id, True) and too_late
        for event_id, none_granted in latest.items():
            if none_granted:
                self._events[event_id] = None
            else:
                self._events.pop(event_id, None)
        while len(self._events) > MOST_EVENTS:
            del self._events[next(iter(self._events))]
