"""Drawing tickets beside the event loop: bounded, cached, shared, private."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import TypeVar, TypeVarTuple

import grpc
import httpx
import pytest
from fastapi import FastAPI
from gateway.http.app import Gateway, create_app
from gateway.http.problems import Problem
from gateway.rest.tickets.ticket_pdf import TicketPrinter
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.caching import CacheBudget
from goticket_platform.worker_pool.pool import CallFailed, PoolBusy
from goticket_testing.scripted import ScriptedBackends, ScriptedError

TICKET = "0197c0de-7a11-7b00-8a00-0000000000c1"
URL = f"/api/v1/tickets/{TICKET}/ticket.pdf"

Bearer = Callable[..., dict[str, str]]
ResultT = TypeVar("ResultT")
ArgumentsT = TypeVarTuple("ArgumentsT")

BUDGET_BYTES = 16 * 1024 * 1024


class FakePool:
    """Runs calls on the event loop when it is released, or fails them."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.calls: list[Callable[[], bool]] = []
        self.released = asyncio.Event()

    async def run_unless(
        self,
        is_abandoned: Callable[[], bool],
        function: Callable[[*ArgumentsT], ResultT],
        *arguments: *ArgumentsT,
    ) -> ResultT:
        """Run the function."""
        self.calls.append(is_abandoned)
        await self.released.wait()
        if self.failure is not None:
            raise self.failure
        return function(*arguments)


def connected() -> bool:
    return False


def disconnected() -> bool:
    return True


@pytest.fixture
def pool() -> FakePool:
    pool = FakePool()
    pool.released.set()
    return pool


async def test_a_document_is_drawn_once_and_then_cached(pool: FakePool, ticket: pb.Ticket) -> None:
    printer = TicketPrinter(pool, CacheBudget(BUDGET_BYTES))

    first = await printer.print(ticket, connected)

    assert first.startswith(b"%PDF")
    assert await printer.print(ticket, connected) is first
    assert len(pool.calls) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("code", "GT1.other"),
        ("holder_name", "Grace"),
        ("ticket_type_name", "Balcony"),
        ("booking_id", "0197c0de-7a11-7b00-8a00-0000000000b2"),
    ],
)
async def test_a_ticket_that_shows_something_else_is_drawn_anew(
    pool: FakePool, ticket: pb.Ticket, field: str, value: str
) -> None:
    printer = TicketPrinter(pool, CacheBudget(BUDGET_BYTES))
    await printer.print(ticket, connected)
    setattr(ticket, field, value)

    await printer.print(ticket, connected)

    assert len(pool.calls) == 2


async def test_a_moved_event_is_drawn_anew(pool: FakePool, ticket: pb.Ticket) -> None:
    printer = TicketPrinter(pool, CacheBudget(BUDGET_BYTES))
    await printer.print(ticket, connected)
    ticket.event.location = "Gdańsk"

    await printer.print(ticket, connected)

    assert len(pool.calls) == 2


async def test_concurrent_requests_of_a_ticket_share_one_drawing(ticket: pb.Ticket) -> None:
    pool = FakePool()
    printer = TicketPrinter(pool, CacheBudget(BUDGET_BYTES))
    waiting = [asyncio.create_task(printer.print(ticket, connected)) for _ in range(16)]
    await asyncio.sleep(0)

    waiting[0].cancel()
    pool.released.set()
    cancelled, *documents = await asyncio.gather(*waiting, return_exceptions=True)

    assert isinstance(cancelled, asyncio.CancelledError)
    assert len({id(document) for document in documents}) == 1
    assert len(pool.calls) == 1


async def test_a_drawing_is_abandoned_when_the_last_client_is_gone(ticket: pb.Ticket) -> None:
    pool = FakePool()
    printer = TicketPrinter(pool, CacheBudget(BUDGET_BYTES))
    first = asyncio.create_task(printer.print(ticket, disconnected))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    (is_abandoned,) = pool.calls
    assert is_abandoned()

    second = asyncio.create_task(printer.print(ticket, connected))
    await asyncio.sleep(0)

    assert not is_abandoned()
    pool.released.set()
    assert await first == await second


@pytest.mark.parametrize(
    ("failure", "code"), [(PoolBusy(), "busy"), (CallFailed("it died"), "unavailable")]
)
async def test_a_failed_drawing_is_a_problem_and_is_not_remembered(
    ticket: pb.Ticket, failure: Exception, code: str
) -> None:
    pool = FakePool(failure)
    pool.released.set()
    printer = TicketPrinter(pool, CacheBudget(BUDGET_BYTES))

    with pytest.raises(Problem) as raised:
        await printer.print(ticket, connected)
    pool.failure = None

    assert raised.value.code == code
    assert await printer.print(ticket, connected)


@pytest.fixture
async def busy(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway whose pool refuses every call."""
    pool = FakePool(PoolBusy())
    pool.released.set()
    components = dataclasses.replace(
        app.state.components, ticket_printer=TicketPrinter(pool, CacheBudget(BUDGET_BYTES))
    )
    full = create_app(components, max_body_bytes=1000)
    transport = httpx.ASGITransport(full)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


async def test_a_full_queue_answers_busy_with_a_spread_retry_after(
    busy: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, ticket: pb.Ticket
) -> None:
    backends.answers["GetTicket"] = pb.GetTicketResponse(ticket=ticket)

    answers = [await busy.get(URL, headers=bearer()) for _ in range(30)]

    assert {(answer.status_code, answer.json()["error"]) for answer in answers} == {(503, "busy")}
    assert {answer.headers["Retry-After"] for answer in answers} == {"1", "2", "3"}


async def test_a_cached_document_is_sent_only_to_callers_who_may_see_the_ticket(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, ticket: pb.Ticket
) -> None:
    backends.answers["GetTicket"] = pb.GetTicketResponse(ticket=ticket)
    document = (await client.get(URL, headers=bearer())).content
    assert (await client.get(URL, headers=bearer())).content == document

    backends.answers["GetTicket"] = ScriptedError(grpc.StatusCode.PERMISSION_DENIED, "forbidden")
    assert (await client.get(URL, headers=bearer())).status_code == 403

    ticket.status = pb.TICKET_STATUS_VOID
    backends.answers["GetTicket"] = pb.GetTicketResponse(ticket=ticket)
    assert (await client.get(URL, headers=bearer())).json()["error"] == "ticket_void"


async def test_the_fast_path_answers_like_the_route(
    app: Gateway,
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    ticket: pb.Ticket,
) -> None:
    backends.answers["GetTicket"] = pb.GetTicketResponse(ticket=ticket)
    fast = [await client.request(method, URL, headers=bearer()) for method in ("GET", "HEAD")]

    app.without_fast_paths()

    for answer in fast:
        slow = await client.request(answer.request.method, URL, headers=bearer())
        assert (slow.status_code, slow.content) == (answer.status_code, answer.content)
        of_each = {"x-request-id": "", "ratelimit": ""}
        assert {**slow.headers, **of_each} == {**answer.headers, **of_each}
    assert fast[0].headers["Content-Disposition"] == f'attachment; filename="ticket-{TICKET}.pdf"'
    assert fast[0].headers["Cache-Control"] == "no-store"
