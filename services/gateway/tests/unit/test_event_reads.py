"""Reads are kept for a second, fetched once for a crowd, and dropped when they change."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import grpc
import pytest
import redis.asyncio as redis
from gateway.auth import Caller
from gateway.clients.catalog import CatalogClient
from gateway.event_reads import KEEP_SECONDS, KEPT, EventReads, Memory
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
    """Has one event, a draft on demand; answers when it is let go."""

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
        return pb.ListEventsResponse(next_cursor=str(self.version))


class Shared:
    """The commands of Redis that reads use; breaks on demand."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}
        self.published: list[tuple[str, str]] = []
        self.broken = False
        self.commands = 0

    def _command(self) -> None:
        self.commands += 1
        if self.broken:
            raise redis.ConnectionError

    async def get(self, key: str) -> str | None:
        self._command()
        return self.entries.get(key)

    async def set(self, key: str, value: str, *, px: int, nx: bool) -> None:
        self._command()
        assert (px, nx) == (1000, True)
        self.entries.setdefault(key, value)

    async def delete(self, key: str) -> None:
        self._command()
        self.entries.pop(key, None)

    async def publish(self, channel: str, text: str) -> None:
        self._command()
        self.published.append((channel, text))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture
def shared() -> Shared:
    return Shared()


def gateway(catalog: Catalog, shared: Shared, clock: Clock) -> EventReads:
    return EventReads(cast("CatalogClient", catalog), cast("redis.Redis", shared), clock)


@pytest.fixture
def reads(catalog: Catalog, shared: Shared, clock: Clock) -> EventReads:
    return gateway(catalog, shared, clock)


async def test_a_crowd_with_a_cold_key_makes_one_call(reads: EventReads, catalog: Catalog) -> None:
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
    reads: EventReads, catalog: Catalog, shared: Shared, clock: Clock
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
    reads: EventReads, catalog: Catalog, shared: Shared
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
    reads: EventReads, catalog: Catalog, shared: Shared
) -> None:
    await reads.event(ONE, None)
    await reads.page(pb.ListEventsRequest(), None)
    catalog.version = 2
    await reads.changed(pb.Event(id=ONE, version=2))
    assert (await reads.event(ONE, None)).version == 2
    assert (await reads.page(pb.ListEventsRequest(), None)).next_cursor == "2"
    assert shared.published == [("goticket:event-changed", '{"eventId": "event-1", "version": 2}')]


async def test_organizers_always_see_the_catalog_and_drafts_are_theirs(
    reads: EventReads, catalog: Catalog
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


async def test_lists_are_kept_by_what_was_asked(reads: EventReads, catalog: Catalog) -> None:
    for query in ("rock", "jazz", "rock"):
        await reads.page(pb.ListEventsRequest(query=query), BUYER)
    assert catalog.asked == [None, None]
    drafts = pb.ListEventsRequest(status=pb.EVENT_STATUS_DRAFT)
    await reads.page(drafts, BUYER)
    assert catalog.asked[2:] == ["buyer"]


async def test_a_failure_is_told_to_all_who_wait_and_not_kept(
    reads: EventReads, catalog: Catalog
) -> None:
    catalog.draft = True
    for _ in range(2):
        crowd = [reads.event(ONE, None) for _ in range(3)]
        answers = await asyncio.gather(*crowd, return_exceptions=True)
        assert [type(one) for one in answers] == [RemoteError] * 3
    catalog.draft = False
    assert (await reads.event(ONE, None)).version == 1


async def test_a_redis_that_failed_is_left_alone_for_a_moment(
    reads: EventReads, catalog: Catalog, shared: Shared, clock: Clock
) -> None:
    shared.broken = True
    for number in range(5):
        await reads.event(f"event-{number}", None)
    assert shared.commands == 1
    shared.broken = False
    clock.now += 1
    await reads.event("event-6", None)
    assert shared.commands == 3


@pytest.mark.parametrize("text", ["nonsense!", "//8="])
async def test_an_entry_of_another_kind_is_no_entry(
    reads: EventReads, catalog: Catalog, shared: Shared, text: str
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
