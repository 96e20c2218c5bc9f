"""Events and lists are cached for a second, loaded once, and deleted when they change."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, cast

import grpc
import pytest
from gateway.cache.event_cache import TTL_SECONDS, EventCache
from gateway.clients.catalog import CatalogClient
from gateway.http.request_context import RequestContext
from gateway.security.authentication import Caller
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket.common.v1.common_pb2 import Actor
from goticket_contracts.redis_names import EVENT_LISTS_GENERATION_KEY, event_key
from goticket_platform.caching import CacheBudget, CircuitBreaker, SharedCache
from goticket_platform.rpc.errors import RemoteError
from opentelemetry.trace import INVALID_SPAN
from prometheus_client import REGISTRY

ONE = "event-1"
BUYER = Caller("buyer", "b@goticket.test", "B", frozenset({"user"}), 0)
ORGANIZER = Caller("organizer", "o@goticket.test", "O", frozenset({"user", "organizer"}), 0)
CONTEXT = RequestContext("request-1", "", INVALID_SPAN)


class Catalog:
    """Has every event, a draft on demand, no list in version 0; blocks while it is closed."""

    def __init__(self) -> None:
        self.version = 1
        self.draft = False
        self.unknown: set[str] = set()
        self.error: RemoteError | None = None
        self.actors: list[str | None] = []
        self.batches: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def get(self, event_id: str, actor: Actor | None) -> pb.Event:
        self.actors.append(actor.user_id if actor else None)
        version = self.version
        await self.open.wait()
        if self.error:
            raise self.error
        if (self.draft and actor is None) or event_id in self.unknown:
            raise RemoteError(grpc.StatusCode.NOT_FOUND, "event_not_found", "No.")
        return pb.Event(id=event_id, version=version)

    async def get_public(self, event_ids: Sequence[str]) -> Sequence[pb.Event]:
        self.batches.append(list(event_ids))
        if self.error:
            raise self.error
        known = [event_id for event_id in event_ids if event_id not in self.unknown]
        return [] if self.draft else [pb.Event(id=name, version=self.version) for name in known]

    async def list_page(self, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        self.actors.append(request.actor.user_id if request.HasField("actor") else None)
        version = self.version
        await self.open.wait()
        return pb.ListEventsResponse(next_cursor=str(version) if version else "")


class Gateway:
    """The cache of one gateway, with a fixed request context."""

    def __init__(self, catalog: Catalog, server: Any, clock: Any) -> None:
        shared = SharedCache(server, CircuitBreaker(clock))
        self.cache = EventCache(cast("CatalogClient", catalog), shared, CacheBudget(1 << 20, clock))

    async def event(self, event_id: str, caller: Caller | None = None) -> pb.Event:
        return (await self.cache.event(event_id, caller, CONTEXT)).value

    async def page(
        self, request: pb.ListEventsRequest, caller: Caller | None = None
    ) -> pb.ListEventsResponse:
        return (await self.cache.page(request, caller, CONTEXT)).value

    async def cursor(self) -> str:
        """Return the cursor, which differs between the catalog's lists."""
        return (await self.page(pb.ListEventsRequest())).next_cursor


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture
def gateway(catalog: Catalog, server: Any, clock: Any) -> Gateway:
    return Gateway(catalog, server, clock)


@pytest.fixture
def other(catalog: Catalog, server: Any, clock: Any) -> Gateway:
    return Gateway(catalog, server, clock)


async def test_concurrent_requests_for_an_uncached_event_make_one_call(
    gateway: Gateway, catalog: Catalog
) -> None:
    catalog.open.clear()
    reads = [asyncio.create_task(gateway.event(ONE)) for _ in range(100)]
    while not catalog.actors:
        await asyncio.sleep(0)
    reads[0].cancel()
    catalog.open.set()
    results = await asyncio.gather(*reads, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert all(isinstance(result, pb.Event) for result in results[1:])
    assert catalog.actors == [None]


async def test_concurrent_requests_for_different_events_share_calls(
    gateway: Gateway, catalog: Catalog, server: Any
) -> None:
    ids = [f"event-{number}" for number in range(50)]
    events = await asyncio.gather(*map(gateway.event, ids))
    assert [event.id for event in events] == ids
    assert catalog.batches == [ids]
    assert server.round_trips == 2, "one reads, one stores"


async def test_an_unknown_event_fails_no_other_event_of_its_batch(
    gateway: Gateway, other: Gateway, catalog: Catalog
) -> None:
    await other.event(ONE)  # in Redis now, so that the unknown one alone is missing
    catalog.unknown.add("unknown")
    found, missing = await asyncio.gather(
        gateway.event(ONE), gateway.event("unknown"), return_exceptions=True
    )
    assert isinstance(found, pb.Event)
    assert getattr(missing, "code", None) == "event_not_found"


async def test_an_outage_of_the_catalog_fails_only_events_that_are_not_in_redis(
    gateway: Gateway, other: Gateway, catalog: Catalog
) -> None:
    await other.event(ONE)
    catalog.error = RemoteError(grpc.StatusCode.UNAVAILABLE, "unavailable", "Down.")
    found, *missing = await asyncio.gather(
        *map(gateway.event, (ONE, "event-2", "event-3")), return_exceptions=True
    )
    assert isinstance(found, pb.Event)
    assert [getattr(error, "code", None) for error in missing] == ["unavailable"] * 2
    assert missing[0] is not missing[1], "each request raises its own error"


async def test_a_batch_shows_no_drafts(gateway: Gateway, catalog: Catalog) -> None:
    catalog.draft = True
    results = await asyncio.gather(
        gateway.event("event-1"), gateway.event("event-2"), return_exceptions=True
    )
    assert [getattr(result, "code", None) for result in results] == ["event_not_found"] * 2


async def test_an_event_is_cached_for_a_second_over_all_layers(
    gateway: Gateway, other: Gateway, catalog: Catalog, clock: Any
) -> None:
    assert (await gateway.event(ONE)).version == 1
    catalog.version = 2
    clock.now += TTL_SECONDS * 0.9
    assert (await gateway.event(ONE, BUYER)).version == 1
    assert (await other.event(ONE)).version == 1
    assert len(catalog.actors) == 1
    clock.now += TTL_SECONDS * 0.1
    assert (await gateway.event(ONE)).version == 2
    assert (await other.event(ONE)).version == 2


async def test_an_entry_has_the_age_of_its_loading_in_every_layer(
    gateway: Gateway, other: Gateway, clock: Any
) -> None:
    loaded_at = (await gateway.cache.event(ONE, None, CONTEXT)).loaded_at
    clock.now += 0.5
    entry = await other.cache.event(ONE, None, CONTEXT)
    assert entry.loaded_at == pytest.approx(loaded_at)
    assert entry.expires_at == pytest.approx(loaded_at + TTL_SECONDS)


async def test_a_load_during_a_change_is_not_cached(
    gateway: Gateway, catalog: Catalog, server: Any
) -> None:
    catalog.open.clear()
    early = asyncio.create_task(gateway.event(ONE))
    while not catalog.actors:
        await asyncio.sleep(0)
    catalog.version = 2
    gateway.cache.on_message({"eventId": ONE, "version": 2})
    catalog.open.set()
    assert (await early).version == 1
    server.entries.clear()
    assert (await gateway.event(ONE)).version == 2


async def test_a_change_is_deleted_here_and_in_redis_and_published(
    gateway: Gateway, catalog: Catalog, server: Any
) -> None:
    await gateway.event(ONE)
    await gateway.cursor()
    catalog.version = 2
    await gateway.cache.changed(ONE, 2)
    assert (await gateway.event(ONE)).version == 2
    assert await gateway.cursor() == "2"
    assert server.published == [("goticket:event-changed", b'{"eventId":"event-1","version":2}')]
    assert EVENT_LISTS_GENERATION_KEY in server.visible_to_subscribers
    assert event_key(ONE) not in server.visible_to_subscribers


async def test_a_change_that_the_catalog_published_is_deleted_but_not_published_again(
    gateway: Gateway, other: Gateway, catalog: Catalog, server: Any
) -> None:
    await gateway.event(ONE)
    await gateway.cursor()
    catalog.version = 2
    await gateway.cache.on_catalog_change(ONE, 2)
    assert (await gateway.event(ONE)).version == 2
    assert await gateway.cursor() == await other.cursor() == "2"
    assert (await other.event(ONE)).version == 2
    assert server.published == []


async def test_organizers_read_from_the_catalog_and_see_their_drafts(
    gateway: Gateway, catalog: Catalog
) -> None:
    catalog.draft = True
    for _ in range(2):
        await gateway.event(ONE, ORGANIZER)
        await gateway.page(pb.ListEventsRequest(), ORGANIZER)
    assert catalog.actors == ["organizer"] * 4
    with pytest.raises(RemoteError):
        await gateway.event(ONE)
    # Without the role no caller sees a draft, not even a former organizer. No call is made.
    with pytest.raises(RemoteError):
        await gateway.event(ONE, BUYER)
    assert catalog.actors[4:] == [None]


async def test_an_unknown_event_costs_one_call_a_second(
    gateway: Gateway, catalog: Catalog, clock: Any
) -> None:
    catalog.unknown.add(ONE)
    for caller in (None, BUYER, None):
        with pytest.raises(RemoteError) as caught:
            await gateway.event(ONE, caller)
        assert caught.value.code == "event_not_found"
    assert (catalog.actors, gateway.cache.is_absent(ONE)) == ([None], True)
    clock.now += TTL_SECONDS
    assert not gateway.cache.is_absent(ONE)
    with pytest.raises(RemoteError):
        await gateway.event(ONE)
    assert catalog.actors == [None] * 2


async def test_unknown_events_share_a_call_with_known_ones(
    gateway: Gateway, catalog: Catalog
) -> None:
    catalog.unknown |= {"unknown-1", "unknown-2"}
    ids = ["unknown-1", ONE, "unknown-2"]
    results = await asyncio.gather(*map(gateway.event, ids), return_exceptions=True)
    assert [isinstance(result, pb.Event) for result in results] == [False, True, False]
    assert (catalog.batches, catalog.actors) == ([ids], [])
    for event_id in ("unknown-1", "unknown-2"):
        with pytest.raises(RemoteError):
            await gateway.event(event_id)
    assert len(catalog.batches) == 1


async def test_an_event_is_read_at_once_after_the_message_that_it_was_published(
    gateway: Gateway, catalog: Catalog
) -> None:
    catalog.draft = True
    with pytest.raises(RemoteError):
        await gateway.event(ONE)
    catalog.draft = False
    await gateway.cache.on_catalog_change(ONE, 2)
    assert (await gateway.event(ONE)).id == ONE


async def test_none_that_was_answered_before_a_change_is_not_cached(
    gateway: Gateway, catalog: Catalog
) -> None:
    catalog.draft = True
    catalog.open.clear()
    early = asyncio.create_task(gateway.event(ONE))
    while not catalog.actors:
        await asyncio.sleep(0)
    generation = gateway.cache.generation
    await gateway.cache.on_catalog_change(ONE, 2)
    gateway.cache.record_absent(ONE, generation)
    catalog.open.set()
    with pytest.raises(RemoteError):
        await early
    catalog.draft = False
    assert not gateway.cache.is_absent(ONE)
    assert (await gateway.event(ONE)).id == ONE


async def test_lists_are_cached_by_query(gateway: Gateway, catalog: Catalog) -> None:
    for query in ("rock", "jazz", "rock"):
        await gateway.page(pb.ListEventsRequest(query=query), BUYER)
    assert catalog.actors == [None, None]
    drafts = pb.ListEventsRequest(status=pb.EVENT_STATUS_DRAFT)
    await gateway.page(drafts, BUYER)
    assert catalog.actors[2:] == ["buyer"]
    assert not drafts.HasField("actor")


async def test_a_list_is_cached_for_a_second_over_all_layers(
    gateway: Gateway, other: Gateway, catalog: Catalog, server: Any, clock: Any
) -> None:
    await gateway.cache.changed(ONE, 1)
    assert await gateway.cursor() == "1"
    assert server.round_trips == 3, "one invalidates, one reads, one stores"
    catalog.version = 2
    clock.now += TTL_SECONDS * 0.9
    assert await gateway.cursor() == "1"
    assert await other.cursor() == await other.cursor() == "1"
    assert len(catalog.actors) == 1
    assert server.round_trips == 4
    assert (await other.page(pb.ListEventsRequest(query="rock"))).next_cursor == "2"
    clock.now += TTL_SECONDS * 0.1
    assert await gateway.cursor() == await other.cursor() == "2"


async def test_an_empty_list_is_cached_for_other_gateways_too(
    gateway: Gateway, other: Gateway, catalog: Catalog
) -> None:
    catalog.version = 0
    assert await gateway.cursor() == await other.cursor() == ""
    assert catalog.actors == [None]


async def test_a_change_invalidates_every_list_in_every_gateway(
    gateway: Gateway, catalog: Catalog, server: Any, clock: Any
) -> None:
    await gateway.cursor()
    for version in (2, 3):
        catalog.version = version
        await Gateway(catalog, server, clock).cache.changed("another", version)
        gateway.cache.on_message(json.loads(server.published[-1][1]))
        assert await gateway.cursor() == str(version)
        assert await Gateway(catalog, server, clock).cursor() == str(version)


async def test_a_list_loaded_before_a_change_is_not_used_after_it(
    gateway: Gateway, other: Gateway, catalog: Catalog, server: Any, clock: Any
) -> None:
    catalog.open.clear()
    early = asyncio.create_task(gateway.cursor())
    while not catalog.actors:
        await asyncio.sleep(0)
    catalog.version = 2
    await other.cache.changed(ONE, 2)
    gateway.cache.on_message({"eventId": ONE, "version": 2})
    catalog.open.set()
    assert await early == "1"
    assert await Gateway(catalog, server, clock).cursor() == "2"
    assert await gateway.cursor() == "2"


async def test_a_read_during_the_invalidation_of_redis_is_not_cached(
    gateway: Gateway, server: Any, catalog: Catalog
) -> None:
    async def read() -> None:
        await gateway.event(ONE)
        await gateway.cursor()

    await read()
    server.before_publish = read
    catalog.version = 2
    await gateway.cache.changed(ONE, 2)
    assert (await gateway.event(ONE)).version == 2
    assert await gateway.cursor() == "2"


async def test_lists_are_correct_without_redis_and_not_stored_there(
    gateway: Gateway, other: Gateway, catalog: Catalog, server: Any, clock: Any, broken: Exception
) -> None:
    server.error = broken
    assert await gateway.cursor() == "1"
    assert server.round_trips == 1
    catalog.version = 2
    await gateway.cache.changed(ONE, 2)
    assert await gateway.cursor() == "2"
    assert server.round_trips == 1
    # Redis may have lost the generation that this list would have been stored with.
    catalog.open.clear()
    late = asyncio.create_task(other.cursor())
    while len(catalog.actors) < 3:
        await asyncio.sleep(0)
    server.error = None
    clock.now += 1
    catalog.open.set()
    assert await late == "2"
    assert not server.entries


@pytest.mark.parametrize(
    "text",
    ["", "none", "none x CgA=", "none 1 nonsense!", "none 99999999999 //8=", "other 100 CgA="],
)
async def test_an_invalid_list_entry_is_replaced(
    gateway: Gateway, catalog: Catalog, server: Any, clock: Any, text: str
) -> None:
    await gateway.cursor()
    (key,) = server.entries
    server.entries[key] = text
    assert await Gateway(catalog, server, clock).cursor() == "1"
    assert await Gateway(catalog, server, clock).cursor() == "1"
    assert len(catalog.actors) == 2, "the valid entry took its place"


async def test_an_error_goes_to_every_waiting_request_and_is_not_cached(
    gateway: Gateway, catalog: Catalog
) -> None:
    catalog.error = RemoteError(grpc.StatusCode.UNAVAILABLE, "unavailable", "Down.")
    for _ in range(2):
        reads = [gateway.event(ONE) for _ in range(3)]
        results = await asyncio.gather(*reads, return_exceptions=True)
        assert [type(result) for result in results] == [RemoteError] * 3
    catalog.error = None
    assert (await gateway.event(ONE)).version == 1


async def test_redis_is_skipped_for_a_moment_after_a_failure(
    gateway: Gateway, server: Any, clock: Any, broken: Exception
) -> None:
    server.error = broken
    for number in range(5):
        await gateway.event(f"event-{number}")
    assert server.round_trips == 1
    server.error = None
    clock.now += 1
    await gateway.event("event-6")
    assert server.round_trips == 3


@pytest.mark.parametrize("text", ["nonsense!", "event 100 //8=", "event CgA="])
async def test_an_invalid_event_entry_is_ignored(gateway: Gateway, server: Any, text: str) -> None:
    server.entries[event_key(ONE)] = text
    assert (await gateway.event(ONE)).version == 1


async def test_an_invalidation_that_redis_did_not_take_is_counted(
    gateway: Gateway, server: Any
) -> None:
    def failures() -> float:
        return REGISTRY.get_sample_value("goticket_cache_invalidation_failures_total") or 0.0

    before = failures()
    await gateway.cache.changed(ONE, 2)
    assert failures() == before
    server.error = ConnectionError()
    await gateway.cache.changed(ONE, 3)
    assert failures() == before + 1
