"""Availability of events: from this process, else from Redis, else from booking.

Booking writes availability to Redis after each change. Redis reports each of these writes to
every gateway (`cache_invalidation.KeyTracking`), so an entry in this process is valid until
its key was written, and for TTL_SECONDS at most. While Redis does not report, nothing is
cached here, and concurrent reads share one round trip that begins after each of them arrived.
So a buyer reads the effect of a booking at once, through any gateway.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from goticket.booking.v1 import booking_pb2
from goticket_contracts.redis_names import availability_key
from goticket_platform.caching import BatchLoader, CacheBudget, Entry, SharedCache, TTLCache
from goticket_platform.logs import get_logger
from goticket_platform.rpc.errors import RemoteError
from prometheus_client import Counter

TTL_SECONDS = 1.0
_TYPE_BYTES = 256
"""Memory of a ticket type's availability at most."""
KEY_PREFIX, _KEY_SUFFIX = availability_key("\n").split("\n")

READS = Counter("goticket_availability_reads", "Events whose availability was read", ["source"])

logger = get_logger(__name__)

GetFromBooking = Callable[[Sequence[str]], Awaitable[Sequence[booking_pb2.EventAvailability]]]


@dataclass(frozen=True, slots=True)
class Availability:
    """Available tickets of one event, by ticket type in the organizer's order."""

    ticket_types: Mapping[str, int]

    @property
    def total(self) -> int:
        """Available tickets of all types together."""
        return sum(self.ticket_types.values())


UNPROVISIONED = Availability({})
"""Booking does not know the event yet, so all its tickets are available."""


def size_of_availability(availability: Availability | None) -> int:
    """Return the memory of an availability in bytes, at most."""
    return _TYPE_BYTES * (2 + len(availability.ticket_types)) if availability else 0


class AvailabilityReader:
    """Reads availability."""

    def __init__(
        self,
        shared: SharedCache,
        get_from_booking: GetFromBooking,
        budget: CacheBudget,
    ) -> None:
        self._shared = shared
        self._get_from_booking = get_from_booking
        self._clock = budget.clock
        self._loader: BatchLoader[str, Availability] = BatchLoader(self.of)
        self._redis_loader: BatchLoader[str, Availability] = BatchLoader(self._from_redis)
        self._cache: TTLCache[Availability | None] = TTLCache(
            budget, "availability", size_of=size_of_availability
        )
        self._tracking = False

    def set_tracking(self, active: bool) -> None:
        """Cache only while Redis reports writes; changes may have been missed before."""
        self._tracking = active
        self._cache.clear()

    def on_write(self, key: str | None) -> None:
        """Delete the entry whose key was written; None means every key."""
        if key is None:
            self._cache.clear()
        else:
            self._cache.delete(key.removeprefix(KEY_PREFIX).removesuffix(_KEY_SUFFIX))

    async def load(self, event_id: str) -> Entry[Availability]:
        """Return an event's availability; UNPROVISIONED when booking does not know it.

        Raises:
            RemoteError: Redis does not have it and booking is unavailable.
        """
        if entry := await self.find(event_id):
            return entry
        started = self._clock()
        found = await self._loader.load(event_id) or UNPROVISIONED
        return Entry(found, started, started + TTL_SECONDS)

    async def find(self, event_id: str) -> Entry[Availability] | None:
        """Return an event's availability if this process or Redis has it, without a call."""
        entry = self._cache.get(event_id)  # nothing is cached without tracking
        if entry is None:
            entry = await self._read_redis(event_id)
        return None if entry.value is None else cast("Entry[Availability]", entry)

    async def _read_redis(self, event_id: str) -> Entry[Availability | None]:
        if not self._tracking:
            return await self._find_in_redis(event_id)
        return await self._cache.get_or_load(event_id, lambda: self._find_in_redis(event_id))

    async def load_if_known(self, event_id: str) -> Entry[Availability] | None:
        """Return the result of `load`, or None when neither source answers."""
        try:
            return await self.load(event_id)
        except RemoteError as error:
            logger.warning("availability unknown", code=error.code)
            return None

    async def _find_in_redis(self, event_id: str) -> Entry[Availability | None]:
        started = self._clock()
        found = await self._redis_loader.load(event_id)
        # What Redis does not have is asked for again: booking may write it at any time.
        lifetime = 0.0 if found is None else TTL_SECONDS
        return Entry(found, started, started + lifetime)

    async def of(self, event_ids: Sequence[str]) -> Mapping[str, Availability]:
        """Return each event's availability; UNPROVISIONED for those booking does not know.

        One round trip to Redis, and one to booking when something is missing there.

        Raises:
            RemoteError: Redis does not have them all and booking is unavailable.
        """
        found = await self._from_redis(event_ids)
        READS.labels("redis").inc(len(found))
        missing = [event_id for event_id in event_ids if event_id not in found]
        if missing:
            answers = await self._get_from_booking(missing)
            READS.labels("booking").inc(len(missing))
            found |= dict.fromkeys(missing, UNPROVISIONED)
            found |= {answer.event_id: _from_booking(answer) for answer in answers}
        return found

    async def if_known(self, event_ids: Sequence[str]) -> Mapping[str, Availability]:
        """Return the result of `of`, or an empty one when neither source answers."""
        try:
            return await self.of(event_ids)
        except RemoteError as error:
            logger.warning("availability unknown", code=error.code)
            return {}

    async def _from_redis(self, event_ids: Sequence[str]) -> dict[str, Availability]:
        if not event_ids:
            return {}

        def queue(commands: Any) -> None:
            for event_id in event_ids:
                commands.hgetall(availability_key(event_id))

        answers = await self._shared.run(queue)
        if answers is None:
            return {}
        entries = zip(event_ids, map(_from_hash, answers), strict=True)
        return {event_id: found for event_id, found in entries if found is not None}


def _from_hash(fields: dict[str, str] | None) -> Availability | None:
    """Parse an event's hash; None when there is none or part of it is missing.

    A value is "<inventory version>:<available>", `order` the ids joined by commas.
    """
    if not fields:
        return None
    try:
        order = fields["order"].split(",")
        return Availability({type_id: int(fields[type_id].partition(":")[2]) for type_id in order})
    except (KeyError, ValueError, AttributeError):
        return None


def _from_booking(answer: booking_pb2.EventAvailability) -> Availability:
    return Availability({item.ticket_type_id: item.available for item in answer.ticket_types})
