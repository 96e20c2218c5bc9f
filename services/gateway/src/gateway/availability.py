"""What is left of events: from Redis when it answers at once, else from booking."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import redis.asyncio as redis
from goticket.booking.v1 import booking_pb2
from goticket_platform.logs import get_logger
from goticket_platform.rpc.errors import RemoteError
from prometheus_client import Counter
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

REDIS_SECONDS = 0.05
"""How long Redis may take; booking answers in less than a stalled cache."""
REDIS_CONNECTIONS = 64
"""A crowd shares these; who waits for one longer than REDIS_SECONDS asks booking."""
BREAK_SECONDS = 1.0
"""How long Redis is left alone after it failed, so that a dead one costs requests nothing."""

READS = Counter("goticket_availability_reads", "Events whose availability was read", ["source"])

logger = get_logger(__name__)

AskBooking = Callable[[Sequence[str]], Awaitable[Sequence[booking_pb2.EventAvailability]]]


@dataclass(frozen=True)
class Left:
    """What is left of one event, by ticket type in the organizer's order."""

    ticket_types: Mapping[str, int]

    @property
    def total(self) -> int:
        """Tickets left of all types together."""
        return sum(self.ticket_types.values())


UNPROVISIONED = Left({})
"""Booking has not heard of the event: nothing was ever sold, all of it is left."""


def open_redis(url: str) -> redis.Redis:
    """Return a client that gives up after REDIS_SECONDS and never tries twice."""
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=REDIS_CONNECTIONS,
        timeout=REDIS_SECONDS,
        decode_responses=True,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return redis.Redis.from_pool(pool)


class Availability:
    """Reads availability; `clock` returns monotonic seconds."""

    def __init__(
        self,
        cache: redis.Redis,
        ask_booking: AskBooking,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache = cache
        self._ask_booking = ask_booking
        self._clock = clock
        self._broken_until = 0.0

    async def of(self, event_ids: Sequence[str]) -> Mapping[str, Left]:
        """Return what is left of each event; UNPROVISIONED for those booking does not know.

        One round trip to Redis, and one to booking when something is missing there.

        Raises:
            RemoteError: Redis does not have them all and booking is away.
        """
        found = await self._cached(event_ids)
        READS.labels("redis").inc(len(found))
        missing = [event_id for event_id in event_ids if event_id not in found]
        if missing:
            answers = await self._ask_booking(missing)
            READS.labels("booking").inc(len(missing))
            found |= dict.fromkeys(missing, UNPROVISIONED)
            found |= {answer.event_id: _from_booking(answer) for answer in answers}
        return found

    async def if_known(self, event_ids: Sequence[str]) -> Mapping[str, Left]:
        """Return what `of` returns, or nothing when neither source answers."""
        try:
            return await self.of(event_ids)
        except RemoteError as error:
            logger.warning("availability unknown", code=error.code)
            return {}

    async def _cached(self, event_ids: Sequence[str]) -> dict[str, Left]:
        if not event_ids or self._clock() < self._broken_until:
            return {}
        try:
            async with self._cache.pipeline(transaction=False) as pipeline:
                for event_id in event_ids:
                    pipeline.hgetall(f"goticket:availability:{{{event_id}}}")
                answers = cast("list[dict[str, str]]", await pipeline.execute())
        except (RedisError, OSError, TimeoutError) as error:
            self._broken_until = self._clock() + BREAK_SECONDS
            logger.warning("redis left alone for a moment", error=type(error).__name__)
            return {}
        entries = zip(event_ids, map(_from_cache, answers), strict=True)
        return {event_id: left for event_id, left in entries if left is not None}


def _from_cache(entry: dict[str, str]) -> Left | None:
    """Read an entry; None when there is none or part of it is missing.

    A value is "<stock version>:<available>", `order` the ids joined by commas.
    """
    try:
        order = entry["order"].split(",")
        return Left({type_id: int(entry[type_id].partition(":")[2]) for type_id in order})
    except (KeyError, ValueError):
        return None


def _from_booking(answer: booking_pb2.EventAvailability) -> Left:
    return Left({item.ticket_type_id: item.available for item in answer.ticket_types})
