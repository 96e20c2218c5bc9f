"""The addresses that are blocked for a while, known to every gateway within seconds.

Each process has them in memory, so that a blocked request costs no call. A gateway that blocks
an address also adds it to a sorted set in Redis, and each gateway regularly reads the new ones.
All blocks have the same length, so the ends of the new blocks are the latest.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from goticket_contracts.redis_names import BLOCKED_CLIENTS_KEY
from goticket_platform.caching import SharedCache
from goticket_platform.logs import get_logger
from prometheus_client import Gauge

READ_SECONDS = 2.0
"""Time between two reads of the new blocks."""
MAX_BLOCKED = 10_000
"""Addresses that a process keeps; the oldest block makes room."""
BLOCKED_BYTES = MAX_BLOCKED * 256
"""Memory of all blocked addresses at most."""
_OVERLAP_SECONDS = 10.0
"""Blocks are read again for this long: clocks differ, and a write may come late."""

BLOCKED = Gauge("goticket_gateway_blocked_clients", "Addresses that this process refuses")

logger = get_logger(__name__)


class BlockedClients:
    """Addresses and IPv6 networks, as `limit_key` names them; `now` returns unix seconds."""

    def __init__(
        self, shared: SharedCache, block_seconds: int, now: Callable[[], float] = time.time
    ) -> None:
        self._shared = shared
        self._block_seconds = block_seconds
        self._now = now
        self._ends: dict[str, float] = {}
        self._read_until = 0.0

    def seconds_left(self, client: str) -> float:
        """Return for how long a client is blocked; 0 if it is not."""
        if not self._ends or (end := self._ends.get(client)) is None:
            return 0.0
        if (left := end - self._now()) > 0:
            return left
        del self._ends[client]
        return 0.0

    async def add(self, client: str, seconds: float) -> None:
        """Block a client here at once, and at the other gateways if Redis answers."""
        now = self._now()
        self._put(client, now + seconds)
        logger.warning("address blocked", client_address=client, seconds=round(seconds))

        def queue(commands: Any) -> None:
            commands.zadd(BLOCKED_CLIENTS_KEY, {client: now + seconds})
            commands.zremrangebyscore(BLOCKED_CLIENTS_KEY, "-inf", now)
            commands.zremrangebyrank(BLOCKED_CLIENTS_KEY, 0, -MAX_BLOCKED - 1)
            commands.expire(BLOCKED_CLIENTS_KEY, self._block_seconds + 60)

        await self._shared.run(queue)

    async def read_new(self) -> None:
        """Add the blocks that other gateways have made since the last read."""
        now = self._now()
        self._forget_ended(now)
        least = max(self._read_until + self._block_seconds - _OVERLAP_SECONDS, now)

        def queue(commands: Any) -> None:
            commands.zrange(BLOCKED_CLIENTS_KEY, least, "+inf", byscore=True, withscores=True)

        answers = await self._shared.run(queue)
        if not answers or answers[0] is None:
            return  # the next read includes what this one missed
        for client, end in answers[0]:
            self._put(client, float(end))
        self._read_until = now

    async def read_regularly(self) -> None:
        """Read the new blocks until cancelled."""
        while True:
            await self.read_new()
            await asyncio.sleep(READ_SECONDS)

    def _put(self, client: str, end: float) -> None:
        # A shorter block never replaces a longer one, and a read never shortens one.
        self._ends[client] = max(end, self._ends.pop(client, 0.0))
        if len(self._ends) > MAX_BLOCKED:
            del self._ends[next(iter(self._ends))]
        BLOCKED.set(len(self._ends))

    def _forget_ended(self, now: float) -> None:
        for client in [client for client, end in self._ends.items() if end <= now]:
            del self._ends[client]
        BLOCKED.set(len(self._ends))
