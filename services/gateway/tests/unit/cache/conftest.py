"""A clock that a test sets, and the commands of Redis that the caches use."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import pytest
import redis.asyncio as redis


class Clock:
    """Monotonic seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeRedis:
    """Entries with a lifetime by the test's clock; fails on demand."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.entries: dict[str, Any] = {}
        self.expires: dict[str, float] = {}
        self.published: list[tuple[str, bytes]] = []
        self.visible_to_subscribers: set[str] = set()
        self.error: Exception | None = None
        self.round_trips = 0
        self.before_publish: Callable[[], Awaitable[None]] | None = None

    @asynccontextmanager
    async def pipeline(self, *, transaction: bool) -> AsyncIterator["FakePipeline"]:
        assert not transaction
        yield FakePipeline(self)

    def live(self, key: str) -> Any:
        if self.clock.now >= self.expires.get(key, float("inf")):
            self.entries.pop(key, None)
        return self.entries.get(key)


class FakePipeline:
    """Commands that are executed together, in order."""

    def __init__(self, server: FakeRedis) -> None:
        self._server = server
        self._commands: list[Callable[[], object]] = []
        self._publishes = False

    def _queue(self, command: Callable[[], object]) -> Self:
        self._commands.append(command)
        return self

    def time(self) -> Self:
        return self._queue(
            lambda: (int(self._server.clock.now), round(self._server.clock.now % 1 * 1e6))
        )

    def mget(self, *keys: Any) -> Self:
        names = keys[0] if isinstance(keys[0], list) else keys
        return self._queue(lambda: [self._server.live(name) for name in names])

    def hgetall(self, key: str) -> Self:
        return self._queue(lambda: self._server.live(key) or {})

    def delete(self, key: str) -> Self:
        return self._queue(lambda: int(self._server.entries.pop(key, None) is not None))

    def set(self, key: str, value: str, *, px: int | None = None, nx: bool = False) -> Self:
        return self._queue(lambda: self._set(key, value, px, nx))

    def publish(self, channel: str, message: bytes) -> Self:
        self._publishes = True
        return self._queue(lambda: self._publish(channel, message))

    async def execute(self, *, raise_on_error: bool) -> list[object]:
        assert not raise_on_error
        if self._publishes and self._server.before_publish:
            await self._server.before_publish()
        self._server.round_trips += 1
        if self._server.error:
            raise self._server.error
        return [command() for command in self._commands]

    def _set(self, key: str, value: str, px: int | None, nx: bool) -> bool | None:
        if nx and self._server.live(key) is not None:
            return None
        self._server.entries[key] = value
        self._server.expires.pop(key, None)
        if px is not None:
            self._server.expires[key] = self._server.clock.now + px / 1000
        return True

    def _publish(self, channel: str, message: bytes) -> int:
        self._server.published.append((channel, message))
        self._server.visible_to_subscribers.update(self._server.entries)
        return 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> FakeRedis:
    return FakeRedis(clock)


@pytest.fixture
def broken() -> Exception:
    return redis.ConnectionError()
