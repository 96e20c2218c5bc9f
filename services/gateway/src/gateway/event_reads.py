"""Public events and lists, kept for a second: a crowd that looks costs the catalog nothing.

- In this process for KEEP_SECONDS, and as long in Redis, for all gateways.
- A crowd that asks for what is not there makes one call (single flight).
- A change made through this gateway, or noticed over Redis, is dropped at once. What is
  being fetched meanwhile is answered, but not kept.
- Any list may show a changed event, so all lists go together. Redis has a generation, a
  text that whoever tells of a change (this gateway, or booking for the catalog) replaces
  before the notice goes out. A list is kept with the generation that was read before the
  list was fetched, and counts only as long as that is the last: what a slow reader fetched
  before the change counts for nobody. Generation and list are read in one round trip.
- At worst an answer is two times KEEP_SECONDS old (as long in Redis, then as long here),
  and the time that its fetching took: when a change is told to nobody, or when a single
  event is put into Redis by a slow reader just after a change took it out.
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
from uuid import uuid4

import grpc
import redis.asyncio as redis
from google.protobuf.message import DecodeError, Message
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket_platform.logs import get_logger
from goticket_platform.rpc.errors import RemoteError
from prometheus_client import Counter
from redis.exceptions import RedisError

from gateway.auth import Caller
from gateway.clients.catalog import CatalogClient
from gateway.notices import EVENT_CHANGED_CHANNEL, LISTS_GENERATION_KEY

KEEP_SECONDS = 1.0
KEEP_MILLISECONDS = int(KEEP_SECONDS * 1000)
KEPT = 2_000
"""Events, and lists, that are kept at most; the oldest go first."""
BREAK_SECONDS = 1.0
"""How long Redis is left alone after it failed."""
NEVER_CHANGED = "none"
"""The generation of lists when Redis has none."""

READS = Counter("goticket_event_reads", "Public reads of events and lists", ["source"])

logger = get_logger(__name__)

ValueT = TypeVar("ValueT")
MessageT = TypeVar("MessageT", bound=Message)


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
        return await self._lists.get(name, lambda: self._fetch_page(name, request))

    async def changed(self, event: pb.Event) -> None:
        """Drop what is kept of an event that was written here, and tell the other gateways."""
        try:
            await self._ask(self._tell(event))
        finally:
            # After Redis, from which somebody may have read the old one until now.
            self.drop(event.id)

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

    async def _tell(self, event: pb.Event) -> None:
        notice = json.dumps({"eventId": event.id, "version": event.version})
        # In this order: who hears the notice must not find the old in Redis again.
        async with self._shared.pipeline(transaction=False) as commands:
            commands.delete(_key(event.id))
            # Random, not counted: a count begins again when Redis loses it.
            commands.set(LISTS_GENERATION_KEY, uuid4().hex)
            commands.publish(EVENT_CHANGED_CHANNEL, notice)
            await commands.execute()

    async def _fetch_page(self, name: str, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        key = f"goticket:{{events}}:list:{name}"
        found = await self._ask(self._shared.mget(LISTS_GENERATION_KEY, key))
        generation, text = found or (None, None)
        if shared := _page(text, generation or NEVER_CHANGED):
            READS.labels("redis").inc()
            return shared
        READS.labels("catalog").inc()
        page = await self._catalog.list_page(request)
        if found:
            entry = f"{generation or NEVER_CHANGED} {_text(page)}"
            await self._ask(self._shared.set(key, entry, px=KEEP_MILLISECONDS))
        return page

    async def _fetch_event(self, event_id: str) -> pb.Event:
        if shared := _message(pb.Event, await self._ask(self._shared.get(_key(event_id)))):
            READS.labels("redis").inc()
            return shared
        READS.labels("catalog").inc()
        event = await self._catalog.get(event_id, None)
        # Only when there is none: a slow reader must not put its old version over a newer.
        entry = self._shared.set(_key(event_id), _text(event), px=KEEP_MILLISECONDS, nx=True)
        await self._ask(entry)
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


def _text(message: Message) -> str:
    return base64.b64encode(message.SerializeToString()).decode()


def _page(text: Any, generation: str) -> pb.ListEventsResponse | None:
    """Read a list's entry, None when it is of another generation, or none."""
    prefix = f"{generation} "
    if not isinstance(text, str) or not text.startswith(prefix):
        return None
    return _message(pb.ListEventsResponse, text.removeprefix(prefix))


def _message(kind: type[MessageT], text: Any) -> MessageT | None:
    """Read an entry of Redis; None when there is none or it is of another kind."""
    if not isinstance(text, str):
        return None
    try:
        return kind.FromString(base64.b64decode(text, validate=True))
    except (binascii.Error, DecodeError):
        return None
