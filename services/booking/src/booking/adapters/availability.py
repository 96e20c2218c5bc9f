"""What is left, in Redis, where the gateway reads it."""

import asyncio
import json
from collections.abc import Sequence
from importlib import resources

from goticket_platform.logs import get_logger
from prometheus_client import Counter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from booking.domain.event import EventStatus
from booking.domain.stock import EventStock, TicketTypeStock

SOLD_OUT = "goticket:sold-out"
"""Channel: `{"eventId", "ticketTypeId", "available", "version"}` when `available` leaves or
reaches 0; a lower `version` than one already seen is old news."""
TTL_SECONDS = 60
"""A write that was lost is made good by the read from PostgreSQL that follows."""
SHOW_SECONDS = 0.05
"""A buyer waits no longer than this for others to see what is left."""

FAILURES = Counter("goticket_availability_failures", "Availability that did not reach Redis")

logger = get_logger(__name__)


class RedisAvailability:
    """What the port `Availability` asks for.

    One hash an event, `goticket:availability:{<event id>}`: a field per ticket type,
    "<stock version>:<available>", and `order`, the ids joined by commas, as of the
    catalog's `order_version`.
    """

    def __init__(self, redis: Redis) -> None:
        script = resources.files("booking.adapters").joinpath("availability.lua").read_text()
        self._redis = redis
        self._show = redis.register_script(script)

    async def show(
        self, stocks: Sequence[EventStock], turned: Sequence[TicketTypeStock] = ()
    ) -> None:
        """See the port."""
        # What is left of a draft is nobody's business yet.
        public = [stock for stock in stocks if stock.event.status is not EventStatus.DRAFT]
        if not public:
            return
        notices = [
            _notice(stock, kind)
            for kind in turned
            for stock in public
            if stock.ticket_types.get(kind.id) is kind
        ]
        try:
            async with asyncio.timeout(SHOW_SECONDS):
                await asyncio.gather(
                    self._show_all(public),
                    *(self._redis.publish(SOLD_OUT, notice) for notice in notices),
                )
        except (RedisError, OSError, TimeoutError) as error:
            FAILURES.inc()
            logger.warning("availability not shown", error=type(error).__name__)

    async def _show_all(self, stocks: Sequence[EventStock]) -> None:
        """Show everything in one command: each costs more than what it says."""
        arguments: list[str | int] = [TTL_SECONDS]
        for stock in stocks:
            kinds = [(str(kind.id), kind) for kind in stock.on_offer]
            order = ",".join(kind_id for kind_id, _ in kinds)
            arguments += [stock.event.version, order, len(kinds)]
            for kind_id, kind in kinds:
                arguments += [kind_id, kind.stock_version, kind.available]
        keys = [f"goticket:availability:{{{stock.event.id}}}" for stock in stocks]
        await self._show(keys=keys, args=arguments)


class NoAvailability:
    """Shows nothing: for tests and benchmarks that run without Redis."""

    async def show(
        self, stocks: Sequence[EventStock], turned: Sequence[TicketTypeStock] = ()
    ) -> None:
        """Do nothing."""


def _notice(stock: EventStock, kind: TicketTypeStock) -> str:
    return json.dumps(
        {
            "eventId": str(stock.event.id),
            "ticketTypeId": str(kind.id),
            "available": kind.available,
            "version": kind.stock_version,
        }
    )
