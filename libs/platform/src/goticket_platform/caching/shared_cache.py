"""Redis as a cache that may fail."""

import time
from collections.abc import Callable
from typing import Any

import redis.asyncio as redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from goticket_platform.logs import get_logger

RESET_SECONDS = 1.0
"""How long a circuit stays open after a failure, so that a dead Redis costs requests nothing."""

logger = get_logger(__name__)


class CircuitBreaker:
    """Skips calls for a while after one has failed; `clock` returns monotonic seconds."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        reset_seconds: float = RESET_SECONDS,
    ) -> None:
        self._clock = clock
        self._reset_seconds = reset_seconds
        self._closed_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are skipped now."""
        return self._clock() < self._closed_at

    def record_failure(self) -> None:
        """Open the circuit."""
        self._closed_at = self._clock() + self._reset_seconds


def open_cache_redis(url: str, *, timeout: float, max_connections: int) -> redis.Redis:
    """Return a client that gives up after `timeout` seconds and never retries.

    A caller waits as long for one of the `max_connections`.
    """
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=timeout,
        decode_responses=True,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
    )
    return redis.Redis.from_pool(pool)


class SharedCache:
    """Redis as a cache that may fail: commands of all uses behind one circuit breaker."""

    def __init__(self, client: redis.Redis, breaker: CircuitBreaker | None = None) -> None:
        self.client = client
        self._breaker = breaker or CircuitBreaker()

    async def run(self, queue: Callable[[Any], object]) -> list[Any] | None:
        """Send the commands that `queue` puts on a pipeline; None when Redis does not answer."""
        if self._breaker.is_open:
            return None
        try:
            async with self.client.pipeline(transaction=False) as commands:
                queue(commands)
                answers: list[Any] = await commands.execute(raise_on_error=False)
        except (RedisError, OSError, TimeoutError) as error:
            self._breaker.record_failure()
            logger.warning("redis is skipped for a moment", error=type(error).__name__)
            return None
        return [None if isinstance(answer, Exception) else answer for answer in answers]
