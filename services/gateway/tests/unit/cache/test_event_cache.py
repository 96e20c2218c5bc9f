"""Reads are kept for a second, fetched once for a crowd, and dropped when they change."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
import pytest
import redis.asyncio as redis
from gateway.cache.cache_invalidation import LISTS_GENERATION_KEY
from gateway.cache.event_cache import KEEP_SECONDS, KEPT, EventCache, Memory
from gateway.clients.catalog import CatalogClient
from gateway.security.authentication import Caller
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket.common.v1.common_pb2 import Actor
from goticket_platform.rpc.errors import RemoteError

ONE = "event-1"
BUYER = Caller("buyer", "b@goticket.test", "B", frozenset({"user"}), 0)
ORGANIZER = Caller("organizer", "o@goticket.test", "O", frozenset({"user", "organizer"}), 0)


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Catalog:
    """Has one event, a draft on demand, none in version 0; answers when it is let go."""

    def __init__(self) -> None:
        self.version = 1
        self.draft = False
        self.asked: list[str | None] = []
        self.open = asyncio.Event()
        self.open.set()

    async def get(self, event_id: str, actor: Actor | None) -> pb.Event:
        self.asked.append(actor.user_id if actor else None)
        version = self.version
        await self.open.wait()
        if self.draft and actor is None:
            raise RemoteError(grpc.StatusCode.NOT_FOUND, "event_not_found", "No.")
        return pb.Event(id=event_id, version=version)

    async def list_page(self, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        self.asked.append(request.actor.user_id if request.HasField("actor") else None)
        version = self.version
        await self.open.wait()
        return pb.ListEventsResponse(next_cursor=str(version) if version else "")


class Shared:
    """The commands of Redis that reads use; breaks on demand."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}
        self.published: list[tuple[str, str]] = []
        self.found_by_listeners: set[str] = set()
        self.broken = False
        self.trips = 0
        self.before_told: Callable[[], Awaitable[None]] | None = None

    def _trip(self) -> None:
        self.trips += 1
        if self.broken:
            raise redis.ConnectionError

    async def get(self, key: str) -> str | None:
        self._trip()
        return self.entries.get(key)

    async def mget(self, *keys: str) -> list[str | None]:
        self._trip()
        return [self.entries.get(key) for key in keys]

    async def set(self, key: str, value: str, *, px: int, nx: bool = False) -> None:
        self._trip()
        assert px == 1000
        if not nx or key not in self.entries:
            self.entries[key] = value

    @asynccontextmanager
    async def pipeline(self, *, transaction: bool) -> AsyncIterator["Pipeline"]:
        yield Pipeline(self)


class Pipeline:
    """Commands that are carried out together, in order."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._commands: list[Callable[[], object]] = []

    def delete(self, key: str) -> None:
        self._commands.append(lambda: self._shared.entries.pop(key, None))

    def set(self, key: str, value: str) -> None:
        self._commands.append(lambda: self._shared.entries.update({key: value}))

    def publish(self, channel: str, text: str) -> None:
        self._commands.append(lambda: self._shared.published.append((channel, text)))
        self._commands.append(lambda: self._shared.found_by_listeners.update(self._shared.entries))

    async def execute(self) -> None:
        if self._shared.before_told:
            await self._shared.before_told()
        self._shared._trip()
        for command in self._commands:
            command()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture
def shared() -> Shared:
    return Shared()


def gateway(catalog: Catalog, shared: Shared, clock: Clock) -> EventCache:
    return EventCache(cast("CatalogClient", catalog), cast("redis.Redis", shared), clock)


@pytest.fixture
def reads(catalog: Catalog, shared: Shared, clock: Clock) -> EventCache:
    return gateway(catalog, shared, clock)


async def cursor(reads: EventCache) -> str:
    """Return what tells the catalog's lists apart."""
    return (await reads.page(pb.ListEventsRequest(), None)).next_cursor


async def test_a_crowd_with_a_cold_key_makes_one_call(reads: EventCache, catalog: Catalog) -> None:
    catalog.open.clear()
    crowd = [asyncio.create_task(reads.event(ONE, None)) for _ in range(100)]
    await asyncio.sleep(0)
    crowd[0].cancel()
    catalog.open.set()
    answers = await asyncio.gather(*crowd, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(isinstance(one, pb.Event) for one in answers[1:])
    assert catalog.asked == [None]


async def test_an_event_is_kept_for_a_second_here_and_for_other_gateways(
    reads: EventCache, catalog: Catalog, shared: Shared, clock: Clock
) -> None:
    assert (await reads.event(ONE, None)).version == 1
    catalog.version = 2
    clock.now += KEEP_SECONDS * 0.9
    assert (await reads.event(ONE, BUYER)).version == 1
    assert (await gateway(catalog, shared, clock).event(ONE, None)).version == 1
    assert len(catalog.asked) == 1
    clock.now += KEEP_SECONDS * 0.1
    shared.entries.clear()
    assert (await reads.event(ONE, None)).version == 2


async def test_what_is_being_fetched_while_it_changes_is_not_kept(
    reads: EventCache, catalog: Catalog, shared: Shared
) -> None:
    catalog.open.clear()
    early = asyncio.create_task(reads.event(ONE, None))
    while not catalog.asked:
        await asyncio.sleep(0)
    catalog.version = 2
    reads.on_notice({"eventId": ONE, "version": 2})
    catalog.open.set()
    assert (await early).version == 1
    shared.entries.clear()
    assert (await reads.event(ONE, None)).version == 2


async def test_a_change_is_dropped_here_and_in_redis_and_told_to_all(
    reads: EventCache, catalog: Catalog, shared: Shared
) -> None:
    await reads.event(ONE, None)
    await reads.page(pb.ListEventsRequest(), None)
    catalog.version = 2
    await reads.changed(pb.Event(id=ONE, version=2))
    assert (await reads.event(ONE, None)).version == 2
    assert (await reads.page(pb.ListEventsRequest(), None)).next_cursor == "2"
    assert shared.published == [("goticket:event-changed", '{"eventId": "event-1", "version": 2}')]
    assert LISTS_GENERATION_KEY in shared.found_by_listeners
    assert f"goticket:event:{{{ONE}}}" not in shared.found_by_listeners


async def test_organizers_always_see_the_catalog_and_drafts_are_theirs(
    reads: EventCache, catalog: Catalog
) -> None:
    catalog.draft = True
    for _ in range(2):
        await reads.event(ONE, ORGANIZER)
        await reads.page(pb.ListEventsRequest(), ORGANIZER)
    assert catalog.asked == ["organizer"] * 4
    with pytest.raises(RemoteError):
        await reads.event(ONE, None)
    # Somebody who was an organizer once may still have a draft.
    await reads.event(ONE, BUYER)
    assert catalog.asked[4:] == [None, None, "buyer"]


async def test_lists_are_kept_by_what_was_asked(reads: EventCache, catalog: Catalog) -> None:
    for query in ("rock", "jazz", "rock"):
        await reads.page(pb.ListEventsRequest(query=query), BUYER)
    assert catalog.asked == [None, None]
    drafts = pb.ListEventsRequest(status=pb.EVENT_STATUS_DRAFT)
    await reads.page(drafts, BUYER)
    assert catalog.asked[2:] == ["buyer"]


async def test_a_list_is_kept_for_a_second_here_and_for_other_gateways(
    reads: EventCache, catalog: Catalog, shared: Shared, clock: Clock
) -> None:
    await reads.changed(pb.Event(id=ONE))
    assert await cursor(reads) == "1"
    assert shared.trips == 3, "one tells, one reads, one keeps"
    catalog.version = 2
    clock.now += KEEP_SECONDS * 0.9
    assert await cursor(reads) == "1"
    other = gateway(catalog, shared, clock)
    assert await cursor(other) == await cursor(other) == "1"
    assert len(catalog.asked) == 1
    assert shared.trips == 4
    assert (await other.page(pb.ListEventsRequest(query="rock"), None)).next_cursor == "2"
    clock.now += KEEP_SECONDS * 0.1
    shared.entries.clear()
    assert await cursor(reads) == "2"


async def test_an_empty_list_is_kept_for_other_gateways_too(
    catalog: Catalog, shared: Shared, clock: Clock
) -> None:
    catalog.version = 0
    for _ in range(2):
        assert await cursor(gateway(catalog, shared, clock)) == ""
    assert catalog.asked == [None]


async def test_a_change_ends_every_list_for_every_gateway(
    reads: EventCache, catalog: Catalog, shared: Shared, clock: Clock
) -> None:
    await cursor(reads)
    for version in (2, 3):
        catalog.version = version
        await gateway(catalog, shared, clock).changed(pb.Event(id="another", version=version))
        reads.on_notice(json.loads(shared.published[-1][1]))
        assert await cursor(reads) == str(version)
        assert await cursor(gateway(catalog, shared, clock)) == str(version)


async def test_a_list_fetched_before_a_change_counts_for_nobody_after_it(
    reads: EventCache, catalog: Catalog, shared: Shared, clock: Clock
) -> None:
    catalog.open.clear()
    early = asyncio.create_task(cursor(reads))
    while not catalog.asked:
        await asyncio.sleep(0)
    catalog.version = 2
    await gateway(catalog, shared, clock).changed(pb.Event(id=ONE, version=2))
    reads.on_notice({"eventId": ONE, "version": 2})
    catalog.open.set()
    assert await early == "1"
    assert await cursor(gateway(catalog, shared, clock)) == "2"
    assert await cursor(reads) == "2"


async def test_what_is_read_while_redis_is_told_of_a_change_is_not_kept(
    reads: EventCache, shared: Shared, catalog: Catalog
) -> None:
    async def look() -> None:
        await reads.event(ONE, None)
        await cursor(reads)

    await look()
    shared.before_told = look
    catalog.version = 2
    await reads.changed(pb.Event(id=ONE, version=2))
    assert (await reads.event(ONE, None)).version == 2
    assert await cursor(reads) == "2"


async def test_lists_are_right_without_redis_and_nothing_is_kept_there(
    reads: EventCache, catalog: Catalog, shared: Shared, clock: Clock
) -> None:
    shared.broken = True
    assert await cursor(reads) == "1"
    assert shared.trips == 1
    catalog.version = 2
    await reads.changed(pb.Event(id=ONE, version=2))
    assert await cursor(reads) == "2"
    assert shared.trips == 1
    # It may have lost the generation that this list would have been kept with.
    catalog.open.clear()
    late = asyncio.create_task(cursor(gateway(catalog, shared, clock)))
    while len(catalog.asked) < 3:
        await asyncio.sleep(0)
    shared.broken = False
    clock.now += 1
    catalog.open.set()
    assert await late == "2"
    assert not shared.entries


@pytest.mark.parametrize("text", ["", "none", "none nonsense!", "none //8=", "other CgA="])
async def test_a_list_of_another_kind_is_no_list(
    reads: EventCache, catalog: Catalog, shared: Shared, clock: Clock, text: str
) -> None:
    await cursor(reads)
    (key,) = shared.entries
    shared.entries[key] = text
    assert await cursor(gateway(catalog, shared, clock)) == "1"
    assert await cursor(gateway(catalog, shared, clock)) == "1"
    assert len(catalog.asked) == 2, "the right one took its place"


async def test_a_failure_is_told_to_all_who_wait_and_not_kept(
    reads: EventCache, catalog: Catalog
) -> None:
    catalog.draft = True
    for _ in range(2):
        crowd = [reads.event(ONE, None) for _ in range(3)]
        answers = await asyncio.gather(*crowd, return_exceptions=True)
        assert [type(one) for one in answers] == [RemoteError] * 3
    catalog.draft = False
    assert (await reads.event(ONE, None)).version == 1


async def test_a_redis_that_failed_is_left_alone_for_a_moment(
    reads: EventCache, catalog: Catalog, shared: Shared, clock: Clock
) -> None:
    shared.broken = True
    for number in range(5):
        await reads.event(f"event-{number}", None)
    assert shared.trips == 1
    shared.broken = False
    clock.now += 1
    await reads.event("event-6", None)
    assert shared.trips == 3


@pytest.mark.parametrize("text", ["nonsense!", "//8="])
async def test_an_entry_of_another_kind_is_no_entry(
    reads: EventCache, catalog: Catalog, shared: Shared, text: str
) -> None:
    shared.entries[f"goticket:event:{{{ONE}}}"] = text
    assert (await reads.event(ONE, None)).version == 1


async def test_the_memory_is_bounded(clock: Clock) -> None:
    memory: Memory[Any] = Memory(clock)

    async def fetch() -> Sequence[int]:
        return []

    for number in range(KEPT + 5):
        await memory.get(str(number), fetch)
    assert len(memory._kept) == KEPT
    assert not memory._fetching
