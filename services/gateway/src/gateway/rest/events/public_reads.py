"""Public reads as rendered bytes: an event, a page of events, an event's availability.

An answer is rendered once for all requests that would get the same. Its age is that of the
oldest data in it, which is a second at most.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket_platform.caching import CacheBudget, Entry, TTLCache
from goticket_platform.rpc.errors import RemoteError

from gateway.cache.availability_reader import (
    UNPROVISIONED,
    Availability,
    AvailabilityReader,
    size_of_availability,
)
from gateway.cache.event_cache import (
    TTL_SECONDS,
    EventCache,
    is_personal,
    list_name,
    may_have_drafts,
    size_of_event,
)
from gateway.http.etags import matches_weakly
from gateway.http.request_context import RequestContext
from gateway.http.responses import JSON, HttpResponse
from gateway.rest.events.rendering import (
    availability_json,
    content_etag,
    event_etag,
    event_json,
    event_page_json,
)
from gateway.security.authentication import Caller

_ANSWER_BYTES = 512
"""Memory of a rendered answer beside its body, at most."""
SHARED_CACHE = b"public, max-age=1, stale-while-revalidate=1"
"""With `Age` rounded up, a shared cache stops using an answer when it is two seconds old."""
PRIVATE = b"private, no-cache"
"""Answers to authenticated requests: only the client may keep them, and has to revalidate."""


@dataclass(frozen=True, slots=True)
class RenderedAnswer:
    """A rendered answer."""

    body: bytes
    etag: str
    loaded_at: float
    """Monotonic seconds: its data is at least as new as this."""


@dataclass(frozen=True, slots=True)
class _RenderedEvent:
    event: pb.Event
    availability: Availability | None
    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class _RenderedAvailability:
    availability: Availability
    body: bytes
    etag: str


class PublicReads:
    """Answers reads of events."""

    def __init__(
        self, events: EventCache, availability: AvailabilityReader, budget: CacheBudget
    ) -> None:
        self.events = events
        self.availability = availability
        self.clock = budget.clock
        self._rendered_events: TTLCache[_RenderedEvent] = TTLCache(
            budget,
            "rendered events",
            size_of=lambda rendered: (
                _ANSWER_BYTES
                + len(rendered.body)
                + size_of_event(rendered.event)
                + size_of_availability(rendered.availability)
            ),
        )
        self._rendered_availability: TTLCache[_RenderedAvailability] = TTLCache(
            budget,
            "rendered availability",
            size_of=lambda rendered: (
                _ANSWER_BYTES + len(rendered.body) + size_of_availability(rendered.availability)
            ),
        )
        self._pages: TTLCache[RenderedAnswer] = TTLCache(
            budget, "pages", size_of=lambda answer: _ANSWER_BYTES + len(answer.body)
        )

    async def event(
        self, event_id: str, caller: Caller | None, context: RequestContext
    ) -> RenderedAnswer:
        """Return an event as the caller may see it.

        Raises:
            RemoteError: there is none, or the catalog is unavailable.
        """
        return await self._fresh(lambda: self._event(event_id, caller, context))

    async def _fresh(self, read: Callable[[], Awaitable[RenderedAnswer]]) -> RenderedAnswer:
        """Read, and read again if a cached part has expired while another one was loaded.

        An answer whose loading took longer than its lifetime is not loaded again: that would
        double the load of slow backends. `Age` states its age.
        """
        started = self.clock()
        answer = await read()
        if answer.loaded_at < started and self.clock() - answer.loaded_at > TTL_SECONDS:
            answer = await read()
        return answer

    async def _event(
        self, event_id: str, caller: Caller | None, context: RequestContext
    ) -> RenderedAnswer:
        entry, availability_entry = await self._load_event(event_id, caller, context)
        availability = availability_entry.value if availability_entry else None
        cached = self._rendered_events.get(event_id)
        event = entry.value
        if (
            cached is not None
            and cached.value.event is event
            and _is_same(cached.value.availability, availability)
        ):
            rendered = cached.value
        else:
            rendered = _RenderedEvent(
                event,
                availability,
                event_json(event, availability),
                event_etag(event, availability),
            )
            if caller is None or not may_have_drafts(caller):
                kept = Entry(rendered, entry.loaded_at, entry.expires_at)
                self._rendered_events.put(event_id, kept)
        loaded_at = (
            min(entry.loaded_at, availability_entry.loaded_at)
            if availability_entry
            else entry.loaded_at
        )
        return RenderedAnswer(rendered.body, rendered.etag, loaded_at)

    async def _load_event(
        self, event_id: str, caller: Caller | None, context: RequestContext
    ) -> tuple[Entry[pb.Event], Entry[Availability] | None]:
        if entry := self.events.cached(event_id, caller):
            return entry, await self.availability.load_if_known(event_id)
        # At the same time: one after the other would double the time of a miss. Booking is
        # asked only about an event that exists, because an unknown one costs it a call, too.
        finding = asyncio.create_task(self.availability.find(event_id))
        try:
            entry = await self.events.event(event_id, caller, context)
            availability = await finding
        finally:
            finding.cancel()
        return entry, availability or await self.availability.load_if_known(event_id)

    async def page(
        self, request: pb.ListEventsRequest, caller: Caller | None, context: RequestContext
    ) -> RenderedAnswer:
        """Return a page of events as the caller may see it; `request` names no actor.

        Raises:
            RemoteError: the catalog rejects the call or is unavailable.
        """
        return await self._fresh(lambda: self._page(request, caller, context))

    async def _page(
        self, request: pb.ListEventsRequest, caller: Caller | None, context: RequestContext
    ) -> RenderedAnswer:
        if is_personal(request, caller):
            return (await self._load_page(request, caller, context)).value
        # An invalidation changes the key, so that pages made before it are not found.
        key = f"{self.events.generation} {list_name(request)}"
        if entry := self._pages.get(key):
            return entry.value
        loaded = await self._pages.get_or_load(key, lambda: self._load_page(request, None, context))
        return loaded.value

    async def event_availability(
        self, event_id: str, caller: Caller | None, context: RequestContext
    ) -> RenderedAnswer:
        """Return an event's availability.

        Raises:
            RemoteError: there is no such event, or no backend that knows answers.
        """
        return await self._fresh(lambda: self._event_availability(event_id, caller, context))

    async def _event_availability(
        self, event_id: str, caller: Caller | None, context: RequestContext
    ) -> RenderedAnswer:
        # Booking knows events that the caller must not see, such as cancelled drafts.
        entry = await self._event_if_catalog_answers(event_id, caller, context)
        availability_entry = await self.availability.load(event_id)
        availability, loaded_at = availability_entry.value, availability_entry.loaded_at
        if availability is UNPROVISIONED:
            entry = entry or await self.events.event(event_id, caller, context)
            availability = Availability(
                {kind.id: kind.capacity for kind in entry.value.ticket_types}
            )
            loaded_at = min(loaded_at, entry.loaded_at)
        cached = self._rendered_availability.get(event_id)
        if cached is not None and _is_same(cached.value.availability, availability):
            rendered = cached.value
        else:
            body = availability_json(event_id, availability)
            rendered = _RenderedAvailability(availability, body, content_etag(body))
            kept = Entry(rendered, loaded_at, loaded_at + TTL_SECONDS)
            self._rendered_availability.put(event_id, kept)
        return RenderedAnswer(rendered.body, rendered.etag, loaded_at)

    async def _event_if_catalog_answers(
        self, event_id: str, caller: Caller | None, context: RequestContext
    ) -> Entry[pb.Event] | None:
        """Return the event; None if the catalog is down, while booking still sells tickets."""
        try:
            return await self.events.event(event_id, caller, context)
        except RemoteError as error:
            if error.status is grpc.StatusCode.NOT_FOUND:
                raise
            return None

    async def _load_page(
        self, request: pb.ListEventsRequest, caller: Caller | None, context: RequestContext
    ) -> Entry[RenderedAnswer]:
        entry = await self.events.page(request, caller, context)
        events = entry.value.events
        availability = await self.availability.if_known([event.id for event in events])
        body = event_page_json(entry.value, availability)
        answer = RenderedAnswer(body, content_etag(body), entry.loaded_at)
        return Entry(answer, entry.loaded_at, entry.expires_at)


def _is_same(first: Availability | None, second: Availability | None) -> bool:
    """Return whether two availabilities are rendered alike: the order of types counts."""
    if first is None or second is None:
        return first is second
    return list(first.ticket_types.items()) == list(second.ticket_types.items())


def render_answer(
    answer: RenderedAnswer, caller: Caller | None, if_none_match: str | None, now: float
) -> HttpResponse:
    """Return the response to a read; `now` in the seconds of the answer's clock.

    304 when `if_none_match` names the answer (RFC 9110, section 13.1.2).
    """
    headers = [(b"etag", answer.etag.encode()), (b"vary", b"Authorization")]
    if caller is None:
        headers.append((b"cache-control", SHARED_CACHE))
        age = max(math.ceil(now - answer.loaded_at), 0)
        headers.append((b"age", b"%d" % age))
    else:
        headers.append((b"cache-control", PRIVATE))
    if if_none_match is not None and matches_weakly(if_none_match, answer.etag):
        return HttpResponse(304, headers, b"")
    headers.append((b"content-type", JSON))
    headers.append((b"content-length", b"%d" % len(answer.body)))
    return HttpResponse(200, headers, answer.body)
