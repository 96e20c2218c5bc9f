"""Short notices to the gateways over Redis: lost ones cost freshness, never correctness."""

import asyncio
import json
from uuid import UUID, uuid4

from goticket_platform.logs import get_logger
from prometheus_client import Counter
from redis.asyncio import Redis
from redis.exceptions import RedisError

EVENT_CHANGED = "goticket:event-changed"
LISTS_GENERATION = "goticket:{events}:generation"
"""The gateways' lists in Redis count only as long as this text stays the same."""
NOTICE_SECONDS = 0.05

LOST = Counter("goticket_cache_invalidation_failures", "Notices that did not reach Redis")

logger = get_logger(__name__)


class RedisNotices:
    """Publishes what caches elsewhere should forget."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def event_changed(self, event_id: UUID, version: int) -> None:
        """Tell that the catalog has a newer version of an event; never raises for Redis."""
        notice = json.dumps({"eventId": str(event_id), "version": version})
        try:
            async with (
                asyncio.timeout(NOTICE_SECONDS),
                self._redis.pipeline(transaction=False) as commands,
            ):
                # In this order: who hears the notice must not find the old in Redis again.
                commands.delete(f"goticket:event:{{{event_id}}}")
                commands.set(LISTS_GENERATION, uuid4().hex)
                commands.publish(EVENT_CHANGED, notice)
                await commands.execute()
        except (RedisError, OSError, TimeoutError) as error:
            LOST.inc()
            logger.warning("notice lost", channel=EVENT_CHANGED, error=type(error).__name__)
