"""Sold-out ticket types, cached for a second, so that rejections cost no call to booking.

Rules:

- An entry comes from booking's rejection or its message over Redis, and lives for TTL_SECONDS.
  So after a lost message, or without Redis, returned tickets are rejected for that long at
  most, and about one call a second checks again.
- Only "none available" is cached, because a smaller request than the rejected one may succeed.
- Only the requested ticket types count, and one of them that is sold out is enough: booking
  grants all lines or none.
- The caller must send a request with an idempotency key in any case. It may repeat a granted
  one, also through another gateway. Only booking knows the first answer, which the repeat must
  get.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.caching import CacheBudget, Entry, TTLCache

TTL_SECONDS = 1.0
RENEW_AFTER_SECONDS = 0.1
"""Rejections by booking renew an entry this often at most: a sale causes thousands a second."""
KEPT_SECONDS = 10.0
"""Time for which the version of an entry is known, so that older messages are ignored."""
_ENTRY_BYTES = 256

ONLY_TYPE = ""
"""Stands for the only ticket type of an event, as in booking's lines."""


@dataclass(frozen=True, slots=True)
class _Entry:
    sold_out_until: float
    version: int


class SoldOutCache:
    """Caches sold-out ticket types."""

    def __init__(self, budget: CacheBudget) -> None:
        self._clock = budget.clock
        self._entries: TTLCache[_Entry] = TTLCache(
            budget, "sold out", size_of=lambda _entry: _ENTRY_BYTES
        )

    def find_sold_out(self, event_id: str, ticket_type_ids: Iterable[str]) -> str | None:
        """Return the first of the ticket types that is known to be sold out."""
        if not len(self._entries):
            return None
        for type_id in ticket_type_ids:
            if self._is_sold_out(event_id, type_id):
                return type_id
        return None

    def record(self, request: pb.CreateBookingRequest, metadata: Mapping[str, str]) -> None:
        """Cache the ticket types for which booking has rejected this request as sold out."""
        if metadata.get("available") != "0" or not (type_id := metadata.get("ticketTypeId")):
            return
        until = self._clock() + TTL_SECONDS
        self._mark_sold_out(request.event_id, type_id, until)
        if any(line.ticket_type_id == ONLY_TYPE for line in request.lines):
            self._mark_sold_out(request.event_id, ONLY_TYPE, until)

    def on_message(self, message: Mapping[str, Any]) -> None:
        """Handle a message of SOLD_OUT_CHANNEL.

        Raises:
            KeyError, ValueError, TypeError: the message is malformed.
        """
        self.update(
            str(message["eventId"]),
            str(message["ticketTypeId"]),
            int(message["available"]),
            int(message["version"]),
        )

    def update(self, event_id: str, ticket_type_id: str, available: int, version: int) -> None:
        """Apply a ticket type's availability; a version older than the cached one is ignored."""
        cached = self._find(event_id, ticket_type_id)
        if cached and version < cached.version:
            return
        if available > 0:
            self._store(event_id, ticket_type_id, _Entry(0.0, version))
            self._entries.delete(_key(event_id, ONLY_TYPE))
        else:
            until = self._clock() + TTL_SECONDS
            self._store(event_id, ticket_type_id, _Entry(until, version))

    def _is_sold_out(self, event_id: str, type_id: str) -> bool:
        entry = self._find(event_id, type_id)
        return entry is not None and self._clock() < entry.sold_out_until

    def _mark_sold_out(self, event_id: str, type_id: str, until: float) -> None:
        cached = self._find(event_id, type_id)
        if cached is None:
            self._store(event_id, type_id, _Entry(until, 0))
        elif until - cached.sold_out_until > RENEW_AFTER_SECONDS:
            self._store(event_id, type_id, _Entry(until, cached.version))

    def _find(self, event_id: str, type_id: str) -> _Entry | None:
        found = self._entries.get(_key(event_id, type_id))
        return None if found is None else found.value

    def _store(self, event_id: str, type_id: str, entry: _Entry) -> None:
        now = self._clock()
        self._entries.put(_key(event_id, type_id), Entry(entry, now, now + KEPT_SECONDS))


def _key(event_id: str, type_id: str) -> str:
    return f"{event_id} {type_id}"
