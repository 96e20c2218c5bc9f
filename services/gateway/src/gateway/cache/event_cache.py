"""Public events and event lists, cached for a second in this process and in Redis.

- An entry lives for TTL_SECONDS from the start of its loading, whichever layers it passes.
  Redis stores it with the time of its loading, by the clock of Redis, for the rest of that
  time.
- Concurrent requests for an uncached entry make one call (single flight), and requests for
  different events share calls (batches).
- A change that this gateway served, or that a message reports, deletes the entries at once.
  A load in progress is answered but not cached.
- Any list may show a changed event, so all lists are deleted together. Redis has a
  generation: a text that every invalidation replaces before it is published. A list is
  stored with the generation that was read before the list was loaded, and is valid only
  while that is the current one. So a slow reader cannot store an old list. Generation
  and list are read in one round trip.
- Only the public view is cached. Organizers and admins always read from the catalog, so that
  they see their drafts and, at once, their changes.
- That there is no public event with an id is cached like an event, in this process only. So
  repeated reads and bookings of an unknown id cost a call a second.
"""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from uuid import uuid4

import grpc
import orjson
from google.protobuf.message import DecodeError, Message
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket_contracts.redis_names import (
    EVENT_CHANGED_CHANNEL,
    EVENT_LISTS_GENERATION_KEY,
    event_key,
    event_list_key,
)
from goticket_kernel.permissions import Permission, roles_with
from goticket_platform.caching import BatchLoader, CacheBudget, Entry, SharedCache, TTLCache
from goticket_platform.rpc.errors import RemoteError
from prometheus_client import Counter

from gateway.clients.catalog import CatalogClient
from gateway.http.request_context import RequestContext
from gateway.security.authentication import Caller

TTL_SECONDS = 1.0
_EVENT = "event"
"""Stands for the generation in entries of single events, which have none."""
INITIAL_GENERATION = "none"
"""The generation of lists while Redis has none."""

READS = Counter("goticket_event_reads", "Public reads of events and lists", ["source"])

INVALIDATION_FAILURES = Counter(
    "goticket_cache_invalidation_failures",
    "Changes of events that could not be invalidated in Redis; entries there expire in a second",
)

MessageT = TypeVar("MessageT", bound=Message)


class EventCache:
    """Reads events for callers."""

    def __init__(
        self,
        catalog: CatalogClient,
        shared: SharedCache,
        budget: CacheBudget,
    ) -> None:
        self._catalog = catalog
        self._shared = shared
        self._clock = budget.clock
        self._events: TTLCache[pb.Event | None] = TTLCache(
            budget, "events", size_of=lambda event: 0 if event is None else size_of_event(event)
        )
        # As bytes, whose size is known; they are read once for each rendered page.
        self._lists: TTLCache[bytes] = TTLCache(budget, "event lists", size_of=len)
        self._loader: BatchLoader[str, Entry[pb.Event] | RemoteError] = BatchLoader(
            self._load_events
        )
        self._storing: set[asyncio.Task[object]] = set()
        self.generation = 0
        """Grows with every invalidation: an older list is stale."""

    async def event(
        self, event_id: str, caller: Caller | None, context: RequestContext
    ) -> Entry[pb.Event]:
        """Return an event as the caller may see it.

        Raises:
            RemoteError: there is none, or the catalog is unavailable.
        """
        if entry := self.cached(event_id, caller):
            return entry
        context.enter()
        if caller is not None and may_have_drafts(caller):
            return self._entry(await self._catalog.get(event_id, caller.actor), self._clock())
        return _existing(
            await self._events.get_or_load(event_id, lambda: self._load_event(event_id))
        )

    def cached(self, event_id: str, caller: Caller | None) -> Entry[pb.Event] | None:
        """Return the event if this process has it for the caller.

        Raises:
            RemoteError: there is no such event, as far as is cached.
        """
        if caller is not None and may_have_drafts(caller):
            return None
        entry = self._events.get(event_id)
        if entry is None:
            return None
        READS.labels("memory").inc()
        return _existing(entry)

    def is_absent(self, event_id: str) -> bool:
        """Return whether it is cached that there is no public event with this id."""
        entry = self._events.get(event_id)
        return entry is not None and entry.value is None

    def record_absent(self, event_id: str, generation: int) -> None:
        """Cache that there is no public event with this id, unless any has changed since.

        `generation` was read before the answer was asked for.
        """
        if generation == self.generation:
            now = self._clock()
            self._events.put(event_id, Entry(None, now, now + TTL_SECONDS))

    async def page(
        self, request: pb.ListEventsRequest, caller: Caller | None, context: RequestContext
    ) -> Entry[pb.ListEventsResponse]:
        """Return a page of events as the caller may see it; `request` names no actor yet.

        Raises:
            RemoteError: the catalog rejects the call or is unavailable.
        """
        if caller is not None and is_personal(request, caller):
            context.enter()
            personal = pb.ListEventsRequest()
            personal.CopyFrom(request)
            personal.actor.CopyFrom(caller.actor)
            started = self._clock()
            return self._entry(await self._catalog.list_page(personal), started)
        name = list_name(request)
        entry = self._lists.get(name)
        if entry is not None:
            READS.labels("memory").inc()
        else:
            context.enter()
            entry = await self._lists.get_or_load(name, lambda: self._load_page(name, request))
        page = pb.ListEventsResponse.FromString(entry.value)
        return Entry(page, entry.loaded_at, entry.expires_at)

    async def changed(self, event_id: str, version: int) -> None:
        """Delete the cached entries of a changed event, here and in the other gateways."""
        await self._invalidate(event_id, version, publish=True)

    async def on_catalog_change(self, event_id: str, version: int) -> None:
        """Delete the cached entries of an event when the catalog has published its change.

        Every gateway consumes the catalog's messages, so nothing is published here.
        """
        await self._invalidate(event_id, version, publish=False)

    def on_message(self, message: Mapping[str, Any]) -> None:
        """Handle a message of EVENT_CHANGED_CHANNEL.

        Raises:
            KeyError, TypeError: the message is malformed.
        """
        self.delete(str(message["eventId"]))

    def delete(self, event_id: str) -> None:
        """Delete an event and every list, because each list may contain it."""
        self.generation += 1
        self._events.delete(event_id)
        self._lists.clear()

    def clear(self) -> None:
        """Delete everything, because messages may have been missed."""
        self.generation += 1
        self._events.clear()
        self._lists.clear()

    async def _invalidate(self, event_id: str, version: int, *, publish: bool) -> None:
        try:
            await self._invalidate_shared(event_id, version, publish=publish)
        finally:
            # After Redis, from which a reader may have loaded the old version until now.
            self.delete(event_id)

    def _entry(self, value: MessageT, started: float) -> Entry[MessageT]:
        return Entry(value, started, started + TTL_SECONDS)

    async def _invalidate_shared(self, event_id: str, version: int, *, publish: bool) -> None:
        def queue(commands: Any) -> None:
            # In this order: a gateway that gets the message must not load the old entry again.
            commands.delete(event_key(event_id))
            # Random: a counter would start again when Redis loses it.
            commands.set(EVENT_LISTS_GENERATION_KEY, uuid4().hex)
            if publish:
                message = orjson.dumps({"eventId": event_id, "version": version})
                commands.publish(EVENT_CHANGED_CHANNEL, message)

        answers = await self._shared.run(queue)
        if answers is None or None in answers:
            INVALIDATION_FAILURES.inc()

    async def _load_page(self, name: str, request: pb.ListEventsRequest) -> Entry[bytes]:
        key, started = event_list_key(name), self._clock()
        answers = await self._shared.run(
            lambda commands: commands.time().mget(EVENT_LISTS_GENERATION_KEY, key)
        )
        now, (stored, text) = _read(answers, 2)
        generation = stored or INITIAL_GENERATION
        found = _parse(text, generation)
        if found and (entry := self._entry_from(pb.ListEventsResponse, found, now, started)):
            READS.labels("redis").inc()
            return _serialized(entry)
        READS.labels("catalog").inc()
        entry = self._entry(await self._catalog.list_page(request), started)
        if now and (milliseconds := self._milliseconds_left(entry)):
            value = _text(generation, now, entry.value)
            self._in_background(
                self._shared.run(lambda commands: commands.set(key, value, px=milliseconds))
            )
        return _serialized(entry)

    async def _load_event(self, event_id: str) -> Entry[pb.Event | None]:
        started = self._clock()
        entry = await self._loader.load(event_id)
        if isinstance(entry, RemoteError):
            raise entry.copy()
        if entry is None:
            return Entry(None, started, started + TTL_SECONDS)
        return Entry(entry.value, entry.loaded_at, entry.expires_at)

    async def _load_events(
        self, event_ids: Sequence[str]
    ) -> Mapping[str, Entry[pb.Event] | RemoteError]:
        """Load events: one round trip to Redis, and one to the catalog for the missing ones.

        If the catalog fails, only the missing events have the error.
        """
        started = self._clock()
        keys = list(map(event_key, event_ids))
        answers = await self._shared.run(lambda commands: commands.time().mget(keys))
        now, texts = _read(answers, len(keys))
        found: dict[str, Entry[pb.Event]] = {}
        for event_id, text in zip(event_ids, texts, strict=True):
            stored = _parse(text, _EVENT)
            if stored and (entry := self._entry_from(pb.Event, stored, now, started)):
                found[event_id] = entry
        READS.labels("redis").inc(len(found))
        missing = [event_id for event_id in event_ids if event_id not in found]
        if missing:
            READS.labels("catalog").inc(len(missing))
            try:
                events = await self._from_catalog(missing)
            except RemoteError as error:
                return {**found, **dict.fromkeys(missing, error)}
            loaded = [self._entry(event, started) for event in events]
            self._in_background(self._store(loaded, now))
            found |= {entry.value.id: entry for entry in loaded}
        return found

    async def _from_catalog(self, event_ids: Sequence[str]) -> Sequence[pb.Event]:
        """Read public events; unknown and private ones are left out."""
        if len(event_ids) > 1:
            return await self._catalog.get_public(event_ids)
        try:
            return [await self._catalog.get(event_ids[0], None)]
        except RemoteError as error:
            if error.status is not grpc.StatusCode.NOT_FOUND:
                raise
            return []

    async def _store(self, entries: Sequence[Entry[pb.Event]], now: int) -> None:
        """Store events in Redis for the rest of their lifetime; `now` as of their loading."""
        lifetimes = [(entry.value, self._milliseconds_left(entry)) for entry in entries]

        def queue(commands: Any) -> None:
            for event, milliseconds in lifetimes:
                if milliseconds:
                    # nx: a slow reader must not overwrite a newer version with its old one.
                    text = _text(_EVENT, now, event)
                    commands.set(event_key(event.id), text, px=milliseconds, nx=True)

        if now and any(milliseconds for _, milliseconds in lifetimes):
            await self._shared.run(queue)

    def _in_background(self, storing: Coroutine[Any, Any, object]) -> None:
        """Store in Redis while the request is answered. It never raises."""
        task = asyncio.create_task(storing)
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)

    def _entry_from(
        self, kind: type[MessageT], stored: "_Stored", now: int, started: float
    ) -> Entry[MessageT] | None:
        """Return an entry of Redis with its age; None when it has expired or is invalid."""
        age = max(now - stored.loaded_at, 0) / 1e6
        message = _message(kind, stored.text)
        if message is None or age >= TTL_SECONDS:
            return None
        return Entry(message, started - age, started - age + TTL_SECONDS)

    def _milliseconds_left(self, entry: Entry[Any]) -> int:
        """Return the remaining lifetime of an entry, 0 when it has expired."""
        return max(int((entry.expires_at - self._clock()) * 1000), 0)


def size_of_event(event: pb.Event) -> int:
    """Return the memory of an event in bytes, at most; measured on its parsed form."""
    return 2048 + 4 * event.ByteSize()


def _existing(entry: Entry[pb.Event | None]) -> Entry[pb.Event]:
    if entry.value is None:
        raise RemoteError(grpc.StatusCode.NOT_FOUND, "event_not_found", "There is no such event.")
    return cast("Entry[pb.Event]", entry)


def _serialized(entry: Entry[pb.ListEventsResponse]) -> Entry[bytes]:
    return Entry(entry.value.SerializeToString(), entry.loaded_at, entry.expires_at)


def may_have_drafts(caller: Caller) -> bool:
    """Return whether the caller may see events that are not public."""
    return not caller.roles.isdisjoint(roles_with(Permission.READ_DRAFT))


def is_personal(request: pb.ListEventsRequest, caller: Caller | None) -> bool:
    """Return whether the caller may get another list than the public one."""
    drafts = request.status == pb.EVENT_STATUS_DRAFT
    return caller is not None and (drafts or may_have_drafts(caller))


def list_name(request: pb.ListEventsRequest) -> str:
    """Return the name of a public list in caches."""
    return hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()


@dataclass(frozen=True, slots=True)
class _Stored:
    """An entry of Redis: a message in base64, and its loading time by the clock of Redis."""

    loaded_at: int
    """Microseconds since the epoch."""
    text: str


def _read(answers: list[Any] | None, keys: int) -> tuple[int, Sequence[Any]]:
    """Return the time of Redis in microseconds and the values of that many keys.

    Return 0 and no values when Redis did not answer.
    """
    if answers is None or answers[0] is None or answers[1] is None:
        return 0, [None] * keys
    seconds, microseconds = answers[0]
    return seconds * 1_000_000 + microseconds, answers[1]


def _text(generation: str, loaded_at: int, message: Message) -> str:
    body = base64.b64encode(message.SerializeToString()).decode()
    return f"{generation} {loaded_at} {body}"


def _parse(text: Any, generation: str) -> _Stored | None:
    """Parse an entry; None when it is of another generation or malformed."""
    parts = text.split(" ") if isinstance(text, str) else ()
    if len(parts) != 3 or parts[0] != generation or not parts[1].isdecimal():  # noqa: PLR2004
        return None
    return _Stored(int(parts[1]), parts[2])


def _message(kind: type[MessageT], text: str) -> MessageT | None:
    """Decode a message; None when the text is of another kind."""
    try:
        return kind.FromString(base64.b64decode(text, validate=True))
    except (binascii.Error, DecodeError):
        return None
