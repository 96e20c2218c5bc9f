"""Events and lists that gateways share over a real Redis."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import cast

import pytest
from gateway.cache.event_cache import EventCache
from gateway.clients.catalog import CatalogClient
from gateway.http.request_context import RequestContext
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket_contracts.redis_names import EVENT_LISTS_GENERATION_KEY, event_list_key
from goticket_platform.caching import CacheBudget, SharedCache
from goticket_platform.ids import new_id
from opentelemetry.trace import INVALID_SPAN
from redis.asyncio import Redis

EVENT = str(new_id())
ALL = pb.ListEventsRequest()
KEY = event_list_key(hashlib.sha256(ALL.SerializeToString()).hexdigest())
CONTEXT = RequestContext("request-1", "", INVALID_SPAN)
DEADLINE = 20.0


class Catalog:
    """Has one event of a given version; blocks while it is closed."""

    def __init__(self) -> None:
        self.version = 1
        self.calls = 0
        self.open = asyncio.Event()
        self.open.set()

    async def get(self, event_id: str, _actor: None) -> pb.Event:
        self.calls += 1
        return pb.Event(id=event_id, version=self.version)

    async def list_page(self, _request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        self.calls += 1
        page = pb.ListEventsResponse(events=[pb.Event(id=EVENT, version=self.version)])
        await self.open.wait()
        return page


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture
async def gateways(redis_url: str, catalog: Catalog) -> AsyncIterator[list[EventCache]]:
    """Three gateways with stopped clocks that receive no messages."""
    async with AsyncExitStack() as resources:
        clients = [
            await resources.enter_async_context(Redis.from_url(redis_url, decode_responses=True))
            for _ in range(3)
        ]
        client = cast("CatalogClient", catalog)
        yield [
            EventCache(client, SharedCache(shared), CacheBudget(1 << 20, lambda: 0.0))
            for shared in clients
        ]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        yield redis


async def version(gateway: EventCache) -> int:
    return (await gateway.page(ALL, None, CONTEXT)).value.events[0].version


async def test_a_list_is_loaded_once_for_all_gateways_and_expires(
    gateways: list[EventCache], catalog: Catalog, redis: Redis
) -> None:
    async with asyncio.timeout(DEADLINE):
        # Once more on a machine so slow that the list expires meanwhile.
        while catalog.calls != 1:
            catalog.calls = 0
            await redis.delete(KEY)
            for gateway in gateways:
                gateway.clear()
                assert await version(gateway) == 1
            assert await redis.pttl(KEY) in {-2, *range(1001)}


async def test_a_change_served_here_or_published_by_the_catalog_invalidates_the_shared_entries(
    gateways: list[EventCache], catalog: Catalog
) -> None:
    here, there, late = gateways
    await version(here)
    await here.event(EVENT, None, CONTEXT)
    catalog.version = 2
    await here.changed(EVENT, 2)
    assert await version(there) == await version(here) == 2
    assert (await there.event(EVENT, None, CONTEXT)).value.version == 2
    catalog.version = 3
    await late.on_catalog_change(EVENT, 3)
    assert await version(late) == 3
    assert (await late.event(EVENT, None, CONTEXT)).value.version == 3


async def test_a_list_loaded_before_a_change_is_not_used_after_it(
    gateways: list[EventCache], catalog: Catalog
) -> None:
    slow, writer, late = gateways
    catalog.open.clear()
    early = asyncio.create_task(version(slow))
    while not catalog.calls:
        await asyncio.sleep(0)
    catalog.version = 2
    await writer.changed(EVENT, 2)
    catalog.open.set()
    assert await early == 1
    assert await version(late) == 2


async def test_keys_of_another_type_are_replaced(
    gateways: list[EventCache], catalog: Catalog, redis: Redis
) -> None:
    for key in (KEY, EVENT_LISTS_GENERATION_KEY):
        await redis.hset(key, "a", "b")
    catalog.version = 2
    assert await version(gateways[0]) == 2
    assert await redis.type(KEY) != "hash", "the valid one took its place"
    await gateways[0].changed(EVENT, 2)
    assert await redis.type(EVENT_LISTS_GENERATION_KEY) == "string"
