"""The age of answers that are composed from two caches."""

from typing import Any, cast

import grpc
import pytest
from gateway.cache.availability_reader import Availability, AvailabilityReader
from gateway.cache.event_cache import EventCache
from gateway.http.request_context import RequestContext
from gateway.rest.events.public_reads import PublicReads
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket_platform.caching import CacheBudget, Entry
from goticket_platform.rpc.errors import RemoteError
from opentelemetry.trace import INVALID_SPAN

CONTEXT = RequestContext("request", "", INVALID_SPAN)


class Backends:
    """Caches whose availability takes `delays` seconds to load; `now` is the clock."""

    generation = 0

    def __init__(self, *delays: float) -> None:
        self.now = 100.0
        self.event_loaded_at = 99.5
        self.reads = 0
        self.error: RemoteError | None = None
        self.ticket_types: dict[str, int] = {}
        self._delays = list(delays)

    def cached(self, event_id: str, *_: Any) -> Entry[pb.Event] | None:
        if self.now - self.event_loaded_at >= 1.0:
            return None
        self.reads += 1
        return self._entry(event_id)

    async def event(self, event_id: str, *_: Any) -> Entry[pb.Event]:
        self.reads += 1
        if self.error:
            raise self.error
        if self.now - self.event_loaded_at >= 1.0:
            self.event_loaded_at = self.now
        return self._entry(event_id)

    def _entry(self, event_id: str) -> Entry[pb.Event]:
        event = pb.Event(id=event_id, status=pb.EVENT_STATUS_PUBLISHED)
        return Entry(event, self.event_loaded_at, self.event_loaded_at + 1.0)

    async def load_if_known(self, _event_id: str) -> Entry[Availability]:
        self.now += self._delays.pop(0)
        return Entry(Availability(self.ticket_types), self.now, self.now + 1.0)

    load = find = load_if_known

    def public_reads(self) -> PublicReads:
        return PublicReads(
            cast("EventCache", self),
            cast("AvailabilityReader", self),
            CacheBudget(1 << 20, lambda: self.now),
        )


async def test_an_event_that_expires_while_its_availability_loads_is_read_again() -> None:
    backends = Backends(0.8, 0.0)
    answer = await backends.public_reads().event("event", None, CONTEXT)
    assert backends.now - answer.loaded_at <= 1.0
    assert backends.reads == 2


async def test_a_fresh_answer_is_read_once() -> None:
    backends = Backends(0.1)
    await backends.public_reads().event("event", None, CONTEXT)
    assert backends.reads == 1


async def test_an_answer_that_expires_twice_is_returned_with_its_age() -> None:
    backends = Backends(1.5, 1.5)
    answer = await backends.public_reads().event("event", None, CONTEXT)
    assert backends.reads == 2
    assert backends.now - answer.loaded_at == 1.5


async def test_slow_backends_are_not_read_twice() -> None:
    backends = Backends(1.5)
    backends.event_loaded_at = 0.0  # expired, so both parts are loaded by this request
    answer = await backends.public_reads().event("event", None, CONTEXT)
    assert backends.reads == 1
    assert backends.now - answer.loaded_at == 1.5


async def test_ticket_types_in_a_new_order_are_rendered_again() -> None:
    backends = Backends(0.0, 0.0)
    reads = backends.public_reads()
    backends.ticket_types = {"a": 5, "b": 5}
    first = await reads.event_availability("event", None, CONTEXT)
    backends.ticket_types = {"b": 5, "a": 5}
    second = await reads.event_availability("event", None, CONTEXT)
    assert first.etag != second.etag


async def test_availability_of_an_event_that_the_caller_must_not_see_is_not_found() -> None:
    backends = Backends(0.0)
    backends.error = RemoteError(grpc.StatusCode.NOT_FOUND, "event_not_found", "No.")
    with pytest.raises(RemoteError) as caught:
        await backends.public_reads().event_availability("event", None, CONTEXT)
    assert caught.value.code == "event_not_found"


async def test_availability_is_answered_while_the_catalog_is_down() -> None:
    backends = Backends(0.0)
    backends.ticket_types = {"a": 5}
    backends.error = RemoteError(grpc.StatusCode.UNAVAILABLE, "unavailable", "Down.")
    answer = await backends.public_reads().event_availability("event", None, CONTEXT)
    assert b'"available":5' in answer.body
