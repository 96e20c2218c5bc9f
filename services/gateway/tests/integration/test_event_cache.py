"""Events and lists that gateways share over a real Redis."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import cast

import pytest
from booking.adapters.notices import RedisNotices
from gateway.cache.cache_invalidation import LISTS_GENERATION_KEY
from gateway.cache.event_cache import EventCache
from gateway.clients.catalog import CatalogClient
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket_platform.ids import new_id
from redis.asyncio import Redis

EVENT = new_id()
ALL = pb.ListEventsRequest()
KEY = f"goticket:{{events}}:list:{hashlib.sha256(ALL.SerializeToString()).hexdigest()}"
DEADLINE = 20.0


class Catalog:
    """Has one event of the version it is given; holds answers back while it is closed."""

    def __init__(self) -> None:
        self.version = 1
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()

    async def get(self, event_id: str, _actor: None) -> pb.Event:
        self.asked += 1
        return pb.Event(id=event_id, version=self.version)

    async def list_page(self, _request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        self.asked += 1
        page = pb.ListEventsResponse(events=[pb.Event(id=str(EVENT), version=self.version)])
        await self.open.wait()
        return page


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture
async def gateways(redis_url: str, catalog: Catalog) -> AsyncIterator[list[EventCache]]:
    """Three gateways that hear no notices and whose time stands still."""
    async with AsyncExitStack() as resources:
        clients = [
            await resources.enter_async_context(Redis.from_url(redis_url, decode_responses=True))
            for _ in range(3)
        ]
        client = cast("CatalogClient", catalog)
        yield [EventCache(client, shared, lambda: 0.0) for shared in clients]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        yield redis


async def version(gateway: EventCache) -> int:
    return (await gateway.page(ALL, None)).events[0].version


async def test_a_list_is_fetched_once_for_all_gateways_and_expires(
    gateways: list[EventCache], catalog: Catalog, redis: Redis
) -> None:
    async with asyncio.timeout(DEADLINE):
        # Once more on a machine so slow that the list expires meanwhile.
        while catalog.asked != 1:
            catalog.asked = 0
            await redis.delete(KEY)
            for gateway in gateways:
                gateway.drop_all()
                assert await version(gateway) == 1
            assert await redis.pttl(KEY) in {-2, *range(1001)}


async def test_a_change_made_here_or_told_by_booking_ends_what_all_share(
    gateways: list[EventCache], catalog: Catalog, redis: Redis
) -> None:
    here, there, late = gateways
    await version(here)
    await here.event(str(EVENT), None)
    catalog.version = 2
    await here.changed(pb.Event(id=str(EVENT), version=2))
    assert await version(there) == await version(here) == 2
    assert (await there.event(str(EVENT), None)).version == 2
    catalog.version = 3
    await RedisNotices(redis).event_changed(EVENT, 3)
    assert await version(late) == 3
    assert (await late.event(str(EVENT), None)).version == 3


async def test_a_list_fetched_before_a_change_counts_for_nobody_after_it(
    gateways: list[EventCache], catalog: Catalog
) -> None:
    slow, writer, late = gateways
    catalog.open.clear()
    early = asyncio.create_task(version(slow))
    while not catalog.asked:
        await asyncio.sleep(0)
    catalog.version = 2
    await writer.changed(pb.Event(id=str(EVENT), version=2))
    catalog.open.set()
    assert await early == 1
    assert await version(late) == 2


async def test_keys_of_another_kind_are_no_lists(
    gateways: list[EventCache], catalog: Catalog, redis: Redis
) -> None:
    for key in (KEY, LISTS_GENERATION_KEY):
        await redis.hset(key, "a", "b")
    catalog.version = 2
    assert await version(gateways[0]) == 2
    assert await redis.type(KEY) != "hash", "the right one took its place"
    await gateways[0].changed(pb.Event(id=str(EVENT), version=2))
    assert await redis.type(LISTS_GENERATION_KEY) == "string"
