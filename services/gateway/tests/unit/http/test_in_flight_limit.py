"""The bound on requests in flight: further ones are rejected, the others are served."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from fastapi import FastAPI
from gateway.config import GatewaySettings
from goticket.booking.v1 import booking_pb2 as pb
from goticket_testing.scripted import ScriptedBackends
from prometheus_client import REGISTRY

MAX_IN_FLIGHT = 2
DEADLINE = 60.0
EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
BOOKINGS = f"/api/v1/events/{EVENT}/bookings"
SHOP = "https://shop.goticket.test"

Bearer = Callable[..., dict[str, str]]


@pytest.fixture
def settings(settings: GatewaySettings) -> GatewaySettings:
    return settings.model_copy(update={"max_in_flight": MAX_IN_FLIGHT})


class Slow:
    """A route that answers, or raises, once it is released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.active = 0
        self.max_running = 0
        self.failure: Exception | None = None

    async def handle(self) -> str:
        self.active += 1
        self.max_running = max(self.max_running, self.active)
        try:
            await self.released.wait()
        finally:
            self.active -= 1
        if self.failure:
            raise self.failure
        return "done"


@pytest.fixture
def slow(app: FastAPI) -> Slow:
    slow = Slow()
    app.add_api_route("/slow", slow.handle)
    return slow


@pytest.fixture
async def running(
    client: httpx.AsyncClient, slow: Slow
) -> AsyncIterator[list[asyncio.Task[httpx.Response]]]:
    """As many requests as the bound allows, all in flight."""
    running = [asyncio.create_task(client.get("/slow")) for _ in range(MAX_IN_FLIGHT)]
    async with asyncio.timeout(DEADLINE):
        while slow.active < MAX_IN_FLIGHT:
            await asyncio.sleep(0)
    yield running
    slow.released.set()
    await asyncio.gather(*running, return_exceptions=True)


async def test_a_request_over_the_bound_is_rejected_at_once_with_a_problem(
    client: httpx.AsyncClient,
    slow: Slow,
    running: list[asyncio.Task[httpx.Response]],
) -> None:
    rejected, logged = _rejected(), _logged()
    headers = {"X-Request-ID": "req-7", "Origin": SHOP}
    answer = await asyncio.wait_for(client.get("/slow", headers=headers), DEADLINE)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] in {"1", "2", "3"}
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-ID"] == "req-7"
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert (answer.json()["error"], answer.json()["requestId"]) == ("busy", "req-7")
    assert (_rejected(), _logged()) == (rejected + 1, logged + 1)
    slow.released.set()
    answers = await asyncio.gather(*running)
    assert [answer.status_code for answer in answers] == [200] * MAX_IN_FLIGHT
    assert slow.max_running == MAX_IN_FLIGHT


@pytest.mark.parametrize("failure", [None, RuntimeError("internal")])
async def test_every_response_frees_capacity(
    client: httpx.AsyncClient,
    slow: Slow,
    running: list[asyncio.Task[httpx.Response]],
    failure: Exception | None,
) -> None:
    slow.failure = failure
    slow.released.set()
    answers = await asyncio.gather(*running)
    assert {answer.status_code for answer in answers} == {500 if failure else 200}
    slow.failure = None
    for _ in range(MAX_IN_FLIGHT + 1):
        assert (await client.get("/slow")).status_code == 200


async def test_a_cancelled_request_frees_capacity(
    client: httpx.AsyncClient, slow: Slow, running: list[asyncio.Task[httpx.Response]]
) -> None:
    running[0].cancel()
    await asyncio.wait(running[:1])
    fresh = asyncio.create_task(client.get("/slow"))
    slow.released.set()
    assert (await fresh).status_code == 200


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz"])
async def test_probes_are_answered_without_free_capacity(
    client: httpx.AsyncClient, path: str
) -> None:
    assert (await client.get(path)).status_code == 200
    assert (await client.head(path)).status_code == 200
    assert (await client.get("/nowhere")).status_code == 503


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("unusual", [False, True])
async def test_bookings_have_a_bound_of_their_own(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    booking: pb.Booking,
    bearer: Bearer,
    unusual: bool,
) -> None:
    backends.answers["CreateBooking"] = pb.CreateBookingResponse(booking=booking)
    # A repeated header sends a booking to the FastAPI route.
    headers = [*bearer().items()] + [("X-Request-ID", "req-7")] * (2 if unusual else 1)
    answer = await client.post(BOOKINGS, json={"quantity": 1}, headers=headers)
    assert answer.status_code == 201
    assert (await client.get(BOOKINGS, headers=bearer())).status_code == 503


def _rejected() -> float:
    return REGISTRY.get_sample_value("goticket_http_requests_rejected_total") or 0.0


def _logged() -> float:
    """Number of requests in the access log that were rejected before their route was looked up."""
    labels = {"method": "GET", "route": "unmatched", "status": "503"}
    return REGISTRY.get_sample_value("goticket_http_requests_total", labels) or 0.0
