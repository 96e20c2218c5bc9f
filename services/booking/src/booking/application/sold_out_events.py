"""The events that have probably sold out, by the results of their latest commands."""

from collections.abc import Iterable
from uuid import UUID

MAX_EVENTS = 10_000
"""Beyond that the oldest entry is dropped. A missing entry only costs time."""


class SoldOutEvents:
    """A hint that saves work. No command is rejected because of it alone."""

    def __init__(self) -> None:
        self._events: dict[UUID, None] = {}

    def __contains__(self, event_id: UUID) -> bool:
        """Return whether the latest commands for the event were rejected as sold out."""
        return event_id in self._events

    def record(self, event_ids: Iterable[UUID], sold_out: Iterable[bool | None]) -> None:
        """Record the results of commands: sold out, granted, or None for neither."""
        latest: dict[UUID, bool] = {}
        for event_id, rejected in zip(event_ids, sold_out, strict=True):
            if rejected is not None:
                latest[event_id] = latest.get(event_id, True) and rejected
        for event_id, all_rejected in latest.items():
            if all_rejected:
                self._events[event_id] = None
            else:
                self._events.pop(event_id, None)
        while len(self._events) > MAX_EVENTS:
            del self._events[next(iter(self._events))]
