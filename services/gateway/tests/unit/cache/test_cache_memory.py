"""The memory of a process stays within its budget, however many different requests come."""

import gc
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from resource import getpagesize
from typing import Any, cast

import pytest
from gateway.booking_submission import fast_path
from gateway.cache.availability_reader import AvailabilityReader
from gateway.cache.event_cache import EventCache
from gateway.clients.catalog import CatalogClient
from gateway.http import cors, problems
from gateway.http.cors import CorsPolicy
from gateway.http.problems import Problem, render
from gateway.http.request_context import RequestContext
from gateway.rest.events import query
from gateway.rest.events.public_reads import PublicReads
from goticket.booking.v1 import booking_pb2
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket_platform.caching import CacheBudget, SharedCache
from goticket_platform.ids import new_id
from opentelemetry.trace import INVALID_SPAN

MEBIBYTE = 1024 * 1024
BUDGET = 16 * MEBIBYTE
OVERHEAD = 16 * MEBIBYTE
"""Memory beyond the budget: the requests in progress, and what the allocator keeps."""
CONTEXT = RequestContext("request-1", "", INVALID_SPAN)


def resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * getpagesize()


def make_event(event_id: str) -> pb.Event:
    kinds = [
        pb.TicketType(id=str(new_id()), name=f"Type {n}", price=4500, capacity=100)
        for n in range(5)
    ]
    return pb.Event(
        id=event_id,
        name="Metallica Live",
        description="loud " * 200,
        location="Warsaw",
        status=pb.EVENT_STATUS_PUBLISHED,
        ticket_types=kinds,
    )


class Catalog:
    """Has every event; a list has a hundred."""

    def __init__(self) -> None:
        self._page = pb.ListEventsResponse(events=[make_event(str(new_id())) for _ in range(100)])

    async def get(self, event_id: str, _actor: object) -> pb.Event:
        return make_event(event_id)

    async def list_page(self, _request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        # A message of its own for each call, as from the network.
        return pb.ListEventsResponse.FromString(self._page.SerializeToString())


async def no_availability(_ids: Sequence[str]) -> Sequence[booking_pb2.EventAvailability]:
    return []


class NoRedis:
    """Is down: a fake Redis in this process would use memory, too."""

    async def run(self, _queue: object) -> None:
        return None


@pytest.fixture
def budget(clock: Any) -> CacheBudget:
    return CacheBudget(BUDGET, clock)


@pytest.fixture
def reads(budget: CacheBudget) -> PublicReads:
    shared = cast("SharedCache", NoRedis())
    events = EventCache(cast("CatalogClient", Catalog()), shared, budget)
    return PublicReads(events, AvailabilityReader(shared, no_availability, budget), budget)


async def read_pages(reads: PublicReads, first: int, last: int) -> None:
    for number in range(first, last):
        await reads.page(pb.ListEventsRequest(limit=100, query=f"{number}"), None, CONTEXT)


async def read_events(reads: PublicReads, first: int, last: int) -> None:
    for _ in range(first, last):
        await reads.event(str(new_id()), None, CONTEXT)


@pytest.mark.parametrize(("read", "requests"), [(read_pages, 300), (read_events, 5_000)])
async def test_different_public_reads_use_the_budget_and_no_more(
    reads: PublicReads, budget: CacheBudget, clock: Any, read: Any, requests: int
) -> None:
    await read(reads, 0, 20)
    before, used = resident_bytes(), budget.bytes_used
    await read(reads, 20, requests)
    growth = resident_bytes() - before
    assert BUDGET * 0.9 < budget.bytes_used <= BUDGET
    assert growth <= BUDGET - used + OVERHEAD, f"{growth / MEBIBYTE:.0f} MB"
    clock.now += 2.0
    budget.remove_expired()
    assert budget.bytes_used == 0


def grow(fill: Any, times: int) -> int:
    """Return by how much the traced memory grows."""

    gc.collect()
    tracemalloc.start()
    try:
        for number in range(times):
            fill(number)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def fill_bodies(number: int) -> None:
    lines = [f'{{"ticketTypeId":"{number:04}","quantity":1}}' for _ in range(6)]
    body = f'{{"items":[{",".join(lines)}]}}'.encode()
    assert len(body) <= fast_path._CACHED_BODY_BYTES
    fast_path._cached_body(body)


def fill_queries(number: int) -> None:
    text = f"q={'x' * 150}{number:09}&location={'y' * 80}".encode()
    assert len(text) <= query._MAX_CACHED_CHARACTERS
    query.parse_query(text)


def fill_members(number: int) -> None:
    extensions: dict[str, str | int] = {"ticketTypeId": str(new_id()), "available": number}
    detail = "x" * 200
    render(Problem("sold_out", detail, extensions=extensions), f"/{'y' * 100}{number}", "id")


def fill_origins(number: int) -> None:
    ORIGINS.response_headers(f"https://{'x' * 230}{number}.test".encode())


ORIGINS = CorsPolicy(["*"])


@pytest.mark.parametrize(
    ("fill", "reserved"),
    [
        (fill_bodies, fast_path.BODIES_BYTES),
        (fill_queries, query.QUERIES_BYTES),
        (fill_members, problems.MEMBERS_BYTES),
        (fill_origins, cors.ORIGINS_BYTES),
    ],
)
def test_a_cache_with_its_own_bound_uses_what_it_reserves_at_most(fill: Any, reserved: int) -> None:
    assert reserved / 8 < grow(fill, 5_000) <= reserved
