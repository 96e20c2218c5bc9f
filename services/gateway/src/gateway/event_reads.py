"""Public events and lists, kept for a second: a crowd that looks costs the catalog nothing.

- In this process for KEEP_SECONDS; single events also in Redis, for all gateways, as long.
- A crowd that asks for what is not there makes one call (single flight).
- A change made through this gateway, or noticed over Redis, is dropped at once. What is
  being fetched meanwhile is answered, but not kept. Without notices, and at worst, an
  answer is two times KEEP_SECONDS old: as long in Redis, then as long here.
- Only the view that everybody has is kept. Organizers and admins always ask the catalog,
  so that they see their drafts and, at once, what they wrote.
"""

import asyncio
import base64
import binascii
import hashlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc
import redis.asyncio as redis
from google.protobuf.message import DecodeError
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket_platform.logs import get_logger
from goticket_platform.rpc.errors import RemoteError
from prometheus_client import Counter
from redis.exceptions import RedisError

from gateway.auth import Caller
from gateway.clients.catalog import CatalogClient
from gateway.notices import EVENT_CHANGED_CHANNEL

KEEP_SECONDS = 1.0
KEPT = 2_000
"""Events, and lists, that are kept at most; the oldest go first."""
BREAK_SECONDS = 1.0
"""How long Redis is left alone after it failed."""

READS = Counter("goticket_event_reads", "Public reads of events and lists", ["source"])

logger = get_logger(__name__)

ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class _Kept(Generic[ValueT]):
    value: ValueT
    until: float


class Memory(Generic[ValueT]):
    """Values for KEEP_SECONDS, each fetched once for all who ask meanwhile."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, _Kept[ValueT]] = OrderedDict()
        self._fetching: dict[str, asyncio.Task[ValueT]] = {}

    async def get(self, key: str, fetch: Callable[[], Awaitable[ValueT]]) -> ValueT:
        """Return what is kept, else what `fetch` returns; its error goes to all who wait."""
        kept = self._kept.get(key)
        if kept and self._clock() < kept.until:
            READS.labels("memory").inc()
            return kept.value
        flight = self._fetching.get(key)
        if flight is None:
            flight = asyncio.create_task(self._fetch(key, fetch))
            self._fetching[key] = flight
        # Shielded: one caller who goes away takes the answer from nobody else.
        return await asyncio.shield(flight)

    def drop(self, key: str) -> None:
        """Forget a value, also one that is being fetched."""
        self._kept.pop(key, None)
        self._fetching.pop(key, None)

    def drop_all(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._fetching.clear()

    async def _fetch(self, key: str, fetch: Callable[[], Awaitable[ValueT]]) -> ValueT:
        ours = asyncio.current_task()
        try:
            value = await fetch()
            if self._fetching.get(key) is ours:
                self._kept[key] = _Kept(value, self._clock() + KEEP_SECONDS)
                self._kept.move_to_end(key)
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return value
        finally:
            if self._fetching.get(key) is ours:
                del self._fetching[key]


class EventReads:
    """Reads events for callers; `clock` returns monotonic seconds."""

    def __init__(
        self, catalog: CatalogClient, shared: redis.Redis, clock: Callable[[], float]
    ) -> None:
        self._catalog = catalog
        self._shared = shared
        self._clock = clock
        self._events: Memory[pb.Event] = Memory(clock)
        self._lists: Memory[pb.ListEventsResponse] = Memory(clock)
        self._broken_until = 0.0

    async def event(self, event_id: str, caller: Caller | None) -> pb.Event:
        """Return an event as the caller may see it.

        Raises:
            RemoteError: there is none, or the catalog is away.
        """
        if caller is not None and _may_have_drafts(caller):
            return await self._catalog.get(event_id, caller.actor)
        try:
            return await self._events.get(event_id, lambda: self._fetch_event(event_id))
        except RemoteError as error:
            if caller is None or error.status is not grpc.StatusCode.NOT_FOUND:
                raise
        return await self._catalog.get(event_id, caller.actor)

    async def page(
        self, request: pb.ListEventsRequest, caller: Caller | None
    ) -> pb.ListEventsResponse:
        """Return a page of events as the caller may see it; `request` names no actor yet.

        Raises:
            RemoteError: the catalog refuses or is away.
        """
        drafts = request.status == pb.EVENT_STATUS_DRAFT
        if caller is not None and (drafts or _may_have_drafts(caller)):
            request.actor.CopyFrom(caller.actor)
            return await self._catalog.list_page(request)
        name = hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()
        return await self._lists.get(name, lambda: self._fetch_page(request))

    async def changed(self, event: pb.Event) -> None:
        """Drop what is kept of an event that was written here, and tell the other gateways."""
        self.drop(event.id)
        notice = json.dumps({"eventId": event.id, "version": event.version})
        async with asyncio.TaskGroup() as both:
            both.create_task(self._ask(self._shared.delete(_key(event.id))))
            both.create_task(self._ask(self._shared.publish(EVENT_CHANGED_CHANNEL, notice)))

    def on_notice(self, notice: Mapping[str, Any]) -> None:
        """Read a notice of EVENT_CHANGED_CHANNEL.

        Raises:
            KeyError, TypeError: it is none.
        """
        self.drop(str(notice["eventId"]))

    def drop(self, event_id: str) -> None:
        """Forget an event, and every list: any may show it."""
        self._events.drop(event_id)
        self._lists.drop_all()

    def drop_all(self) -> None:
        """Forget everything: notices may have been missed."""
        self._events.drop_all()
        self._lists.drop_all()

    async def _fetch_page(self, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        READS.labels("catalog").inc()
        return await self._catalog.list_page(request)

    async def _fetch_event(self, event_id: str) -> pb.Event:
        if shared := _event(await self._ask(self._shared.get(_key(event_id)))):
            READS.labels("redis").inc()
            return shared
        READS.labels("catalog").inc()
        event = await self._catalog.get(event_id, None)
        text = base64.b64encode(event.SerializeToString()).decode()
        # Only when there is none: a slow reader must not put its old version over a newer.
        milliseconds = int(KEEP_SECONDS * 1000)
        await self._ask(self._shared.set(_key(event_id), text, px=milliseconds, nx=True))
        return event

    async def _ask(self, answer: Awaitable[Any]) -> Any:
        """Return Redis's answer, None when it has none or is away."""
        if self._clock() < self._broken_until:
            answer.close()  # type: ignore[attr-defined]  # a coroutine that nobody will await
            return None
        try:
            return await answer
        except (RedisError, OSError, TimeoutError) as error:
            self._broken_until = self._clock() + BREAK_SECONDS
            logger.warning("redis left alone for a moment", error=type(error).__name__)
            return None


def _may_have_drafts(caller: Caller) -> bool:
    return not caller.roles.isdisjoint({"organizer", "admin"})


def _key(event_id: str) -> str:
    return f"goticket:event:{{{event_id}}}"


def _event(text: Any) -> pb.Event | None:
    """Read an entry of Redis; None when there is none or it is of another kind."""
    if not isinstance(text, str):
        return None
    try:
        return pb.Event.FromString(base64.b64decode(text, validate=True))
    except (binascii.Error, DecodeError):
        return None
