"""Caching: in-process entries with a lifetime and a byte budget, Redis behind them, batches.

A value has one age from the moment its loading began, in whichever layer it is: Redis stores
it only for the rest of its lifetime and tells how much of that is left, so that the ages of
two layers never add up.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import redis.asyncio as redis
from cachetools import TLRUCache
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from goticket_platform.logs import get_logger

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

RESET_SECONDS = 1.0
"""How long a circuit stays open after a failure, so that a dead Redis costs requests nothing."""
MAX_BATCH = 100
"""Keys that one batch loads at most."""
MAX_BATCHES_IN_FLIGHT = 2
STALL_SECONDS = 0.5
"""A batch in flight for longer is stalled. It no longer counts, so that one frozen server does
not delay all requests until its calls have timed out."""

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Entry(Generic[ValueT]):
    """A cached value; times in seconds of the cache's clock."""

    value: ValueT
    loaded_at: float
    """When its loading began: the value is at least as new as this."""
    expires_at: float


class TTLCache(Generic[ValueT]):
    """In-process cache with single flight.

    Entries live until they expire, are deleted, or are evicted as the least recently used of
    more than `max_bytes`. `clock` returns monotonic seconds.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        size_of: Callable[[ValueT], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._entries: TLRUCache[str, Entry[ValueT]] = TLRUCache(
            max_bytes,
            ttu=lambda _key, entry, _now: entry.expires_at,
            timer=clock,
            getsizeof=lambda entry: size_of(entry.value),
        )
        self._loads: dict[str, asyncio.Task[Entry[ValueT]]] = {}

    @property
    def bytes_used(self) -> float:
        """Size of all entries as `size_of` counts it."""
        return self._entries.currsize

    def get(self, key: str) -> Entry[ValueT] | None:
        """Return the entry that has not expired, if there is one."""
        try:
            return self._entries[key]
        except KeyError:
            return None

    async def get_or_load(
        self, key: str, load: Callable[[], Awaitable[Entry[ValueT]]]
    ) -> Entry[ValueT]:
        """Return the entry; a missing one is loaded once for all who wait.

        Raises:
            Exception: what `load` raised, to all who wait.
        """
        if entry := self.get(key):
            return entry
        running = self._loads.get(key)
        if running is None:
            running = self._loads[key] = asyncio.create_task(self._load(key, load))
        # Shielded: a caller that is cancelled must not end the load of the others.
        return await asyncio.shield(running)

    def delete(self, key: str) -> None:
        """Delete an entry. A load in progress is answered to its callers but not stored."""
        self._entries.pop(key, None)
        self._loads.pop(key, None)

    def clear(self) -> None:
        """Delete all entries; see `delete`."""
        self._entries.clear()
        self._loads.clear()

    async def _load(self, key: str, load: Callable[[], Awaitable[Entry[ValueT]]]) -> Entry[ValueT]:
        task = asyncio.current_task()
        try:
            entry = await load()
            if self._loads.get(key) is task:
                self._store(key, entry)
            return entry
        finally:
            if self._loads.get(key) is task:
                del self._loads[key]

    def _store(self, key: str, entry: Entry[ValueT]) -> None:
        try:
            self._entries[key] = entry
        except ValueError:
            logger.warning("value larger than the cache", key=key)


@dataclass(eq=False, slots=True)
class _Failure:
    error: Exception


class BatchLoader(Generic[KeyT, ValueT]):
    """Loads single keys in batches.

    Keys that are requested while batches are in flight form the next batch. A batch never
    answers a request that came after it was sent, so every value is newer than its request.
    Keys whose callers were all cancelled while they waited are not sent. `clock` returns
    monotonic seconds.
    """

    def __init__(
        self,
        load_batch: Callable[[Sequence[KeyT]], Awaitable[Mapping[KeyT, ValueT]]],
        *,
        max_batch: int = MAX_BATCH,
        max_in_flight: int = MAX_BATCHES_IN_FLIGHT,
        stall_seconds: float = STALL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load_batch = load_batch
        self._max_batch = max_batch
        self._max_in_flight = max_in_flight
        self._stall_seconds = stall_seconds
        self._clock = clock
        self._waiting: dict[KeyT, list[asyncio.Future[Any]]] = {}
        self._in_flight: dict[asyncio.Task[None], float] = {}
        """When each batch was sent."""
        self._scheduled = False

    async def load(self, key: KeyT) -> ValueT | None:
        """Return the value of a key; None when the batch had none.

        Raises:
            Exception: what `load_batch` raised.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.setdefault(key, []).append(future)
        self._schedule(loop)
        outcome = await future
        if isinstance(outcome, _Failure):
            # Several tasks raise it: without this each would add its traceback.
            raise outcome.error.with_traceback(None)
        loaded: ValueT | None = outcome
        return loaded

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._scheduled and self._may_send():
            # At the end of the turn of the loop: all requests of the turn share the batch.
            self._scheduled = True
            loop.call_soon(self._send)

    def _may_send(self) -> bool:
        if len(self._in_flight) < self._max_in_flight:
            return True
        stalled = self._clock() - self._stall_seconds
        return sum(sent > stalled for sent in self._in_flight.values()) < self._max_in_flight

    def _send(self) -> None:
        self._scheduled = False
        while self._waiting and self._may_send():
            batch = self._take()
            if not batch:
                continue
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._in_flight[task] = self._clock()
            task.add_done_callback(self._done)

    def _take(self) -> dict[KeyT, list[asyncio.Future[Any]]]:
        """Remove the keys of the next batch; leave out those without a waiting caller."""
        keys = list(islice(self._waiting, self._max_batch))
        batch = {key: self._waiting.pop(key) for key in keys}
        return {
            key: futures
            for key, futures in batch.items()
            if not all(future.done() for future in futures)
        }

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._in_flight[task]
        self._send()

    async def _run(self, batch: Mapping[KeyT, list[asyncio.Future[Any]]]) -> None:
        try:
            found = await self._load_batch(list(batch))
        except Exception as error:  # noqa: BLE001 - passed on to every caller
            failure = _Failure(error)
            for futures in batch.values():
                _resolve(futures, failure)
            return
        for key, futures in batch.items():
            _resolve(futures, found.get(key))


def _resolve(futures: Sequence[asyncio.Future[Any]], outcome: object) -> None:
    for future in futures:
        if not future.done():
            future.set_result(outcome)


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
