"""Publishes availability in Redis, where gateways read it."""

import asyncio
import json
from collections.abc import Sequence
from importlib import resources

from goticket_contracts.redis_names import SOLD_OUT_CHANNEL, availability_key
from goticket_platform.logs import get_logger
from prometheus_client import Counter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from booking.domain.event import EventStatus
from booking.domain.inventory import EventInventory, TicketTypeInventory

TTL_SECONDS = 60
"""A lost write is corrected by a read from PostgreSQL after this time."""
PUBLISH_TIMEOUT_SECONDS = 0.05
"""The publication of availability may delay a booking's response for this long."""

FAILURES = Counter("goticket_availability_failures", "Availability that did not reach Redis")

logger = get_logger(__name__)


class RedisAvailability:
    """Implements the port `AvailabilityPublisher`.

    One hash per event: a field per ticket type with "<inventory version>:<available>";
    `order`, the ids joined by commas; and `order_version`, the event's version for it.
    """

    def __init__(self, redis: Redis) -> None:
        script = resources.files("booking.adapters").joinpath("availability.lua").read_text()
        self._redis = redis
        self._script = redis.register_script(script)

    async def publish(
        self,
        inventories: Sequence[EventInventory],
        transitions: Sequence[TicketTypeInventory] = (),
    ) -> None:
        """See the port."""
        # Drafts are not public.
        public = [each for each in inventories if each.event.status is not EventStatus.DRAFT]
        if not public:
            return
        messages = [
            _transition_message(inventory, kind)
            for kind in transitions
            for inventory in public
            if inventory.ticket_types.get(kind.id) is kind
        ]
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_SECONDS):
                await asyncio.gather(
                    self._write(public),
                    *(self._redis.publish(SOLD_OUT_CHANNEL, message) for message in messages),
                )
        except (RedisError, OSError, TimeoutError) as error:
            FAILURES.inc()
            logger.warning("availability not published", error=type(error).__name__)

    async def _write(self, inventories: Sequence[EventInventory]) -> None:
        """Write all events in one command, because each command has a high fixed cost."""
        arguments: list[str | int] = [TTL_SECONDS]
        for inventory in inventories:
            kinds = [(str(kind.id), kind) for kind in inventory.active_ticket_types]
            order = ",".join(kind_id for kind_id, _ in kinds)
            arguments += [inventory.event.version, order, len(kinds)]
            for kind_id, kind in kinds:
                arguments += [kind_id, kind.version, kind.available]
        keys = [availability_key(inventory.event.id) for inventory in inventories]
        await self._script(keys=keys, args=arguments)


def _transition_message(inventory: EventInventory, kind: TicketTypeInventory) -> str:
    return json.dumps(
        {
            "eventId": str(inventory.event.id),
            "ticketTypeId": str(kind.id),
            "available": kind.available,
            "version": kind.version,
        }
    )
