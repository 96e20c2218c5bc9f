"""A client that disconnects while it waits for booking is not booked."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import httpx
import pytest
from gateway.booking_submission.batched_submitter import BatchedSubmitter
from gateway.booking_submission.pipeline import BookingPipeline
from gateway.booking_submission.retry_throttle import THROTTLED
from gateway.booking_submission.sold_out_cache import SoldOutCache
from gateway.bootstrap import open_components
from gateway.config import GatewaySettings
from gateway.http import problems
from gateway.http.app import Gateway, create_app
from gateway.http.disconnect import is_disconnected
from gateway.http.server import address, bind, serve
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.caching import CacheBudget
from goticket_platform.lifecycle import Stop
from goticket_testing.messaging import eventually
from goticket_testing.scripted import ScriptedBackends
from prometheus_client import REGISTRY
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
PATH = f"/api/v1/events/{EVENT}/bookings"
BODY = json.dumps({"quantity": 1}).encode()
DEADLINE = 60.0
RETRY_AFTER = 2

until = partial(eventually, seconds=DEADLINE)
TICK = 0.01
"""Loops count whole milliseconds."""

Bearer = Callable[..., dict[str, str]]


class BlockedBooking:
    """Answers a single booking once it is released, and a batch at once."""

    def __init__(self, booking: pb.Booking) -> None:
        self.released = asyncio.Event()
        self._made = pb.CreateBookingResponse(booking=booking)

    async def one(self, _request: pb.CreateBookingRequest) -> pb.CreateBookingResponse:
        await self.released.wait()
        return self._made

    def many(self, batch: pb.BatchCreateBookingsRequest) -> pb.BatchCreateBookingsResponse:
        results = [pb.BatchResult(created=self._made) for _ in batch.requests]
        return pb.BatchCreateBookingsResponse(results=results)


@dataclass
class Server:
    """A gateway on a real port with its internals; `now` is the queue's clock."""

    app: Gateway
    submitter: BatchedSubmitter
    url: str = ""
    now: float = 0.0
    stop: Stop = field(default_factory=Stop)
    connections: dict[str, Receive] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, and record its connection by its idempotency key."""
        if key := Headers(scope=scope).get("Idempotency-Key"):
            self.connections[key] = receive
        await self.app(scope, receive, send)


@asynccontextmanager
async def open_server(settings: GatewaySettings) -> AsyncIterator[Server]:
    bound = bind(settings.listen, share=False)
    async with open_components(settings) as parts:
        booking = parts.backends.booking
        submitter = BatchedSubmitter(
            booking.create, booking.create_many, deadline=DEADLINE, clock=lambda: server.now
        )
        sold_out = SoldOutCache(CacheBudget(1 << 20))
        pipeline = BookingPipeline(submitter, sold_out, parts.public_reads.events, parts.limits)
        app = create_app(
            replace(parts, booking_pipeline=pipeline),
            max_body_bytes=settings.max_body_bytes,
        )
        assert isinstance(app, Gateway)
        server = Server(app, submitter)
        serving = asyncio.create_task(
            serve(server, bound, parts.health, server.stop, app.retry_throttle.close)
        )
        try:
            await until(lambda: parts.health.ready)
            server.url = f"http://{address(bound)}"
            yield server
        finally:
            await submitter.close()
            server.stop.set()
            await serving


async def test_a_client_that_disconnects_in_the_queue_is_not_booked_and_the_others_are(
    settings: GatewaySettings, backends: ScriptedBackends, booking: pb.Booking, bearer: Bearer
) -> None:
    blocked = BlockedBooking(booking)
    backends.answers |= {"CreateBooking": blocked.one, "BatchCreateBookings": blocked.many}
    async with open_server(settings) as server, httpx.AsyncClient(timeout=DEADLINE) as client:

        def book(key: str) -> asyncio.Task[httpx.Response]:
            headers = bearer() | {"Idempotency-Key": key, "Content-Type": "application/json"}
            return asyncio.create_task(
                client.post(server.url + PATH, content=BODY, headers=headers)
            )

        first = book("first")
        await until(lambda: not backends.was_not_called("CreateBooking"))
        before = book("before")
        await until(lambda: server.submitter.waiting == 1)
        _, writer = await _send_raw(server.url, bearer() | {"Idempotency-Key": "leaves"})
        await until(lambda: server.submitter.waiting == 2)
        after = book("after")
        await until(lambda: server.submitter.waiting == 3)

        writer.close()
        await until(lambda: is_disconnected(server.connections["leaves"]))
        server.now += 1.0  # longer than the time after which disconnects are checked
        blocked.released.set()
        answers = await asyncio.gather(first, before, after)

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert backends.request_of("CreateBooking").idempotency_key == "first"
    batch = backends.request_of("BatchCreateBookings").requests
    assert [request.idempotency_key for request in batch] == ["before", "after"]


@dataclass
class Capacity:
    """Replaces the submitter's answer whether the queue has capacity, and counts the calls."""

    free: bool = False
    calls: int = 0

    def rejection_reason(self, _event_id: str) -> str | None:
        self.calls += 1
        return None if self.free else "full"


@pytest.fixture
def capacity(monkeypatch: pytest.MonkeyPatch) -> Capacity:
    capacity = Capacity()
    monkeypatch.setattr(
        BookingPipeline,
        "rejection_reason",
        lambda _pipeline, event_id: capacity.rejection_reason(event_id),
    )
    monkeypatch.setattr(problems, "RETRY_AFTER_SECONDS", (RETRY_AFTER, RETRY_AFTER))
    return capacity


def booking_seconds() -> float:
    """Return the sum of the seconds that responses to bookings have taken so far."""
    labels = {"method": "POST", "route": "/api/v1/events/{event_id}/bookings"}
    return REGISTRY.get_sample_value("goticket_http_request_duration_seconds_sum", labels) or 0.0


def one_connection(server: Server) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=1)
    return httpx.AsyncClient(base_url=server.url, timeout=DEADLINE, limits=limits)


async def test_a_retry_before_its_time_is_delayed_until_then(
    settings: GatewaySettings, bearer: Bearer, capacity: Capacity
) -> None:
    headers = bearer() | {"Content-Type": "application/json"}
    async with open_server(settings) as server, one_connection(server) as client:
        before = time.monotonic()
        first = await client.post(PATH, content=BODY, headers=headers)
        counted = booking_seconds()
        assert (first.status_code, first.headers["Retry-After"], capacity.calls) == (503, "2", 1)
        # Other requests on the connection are not delayed.
        assert (await client.get("/livez")).status_code == 200
        retried = time.monotonic()
        again = await client.post(PATH, content=BODY, headers=headers)
        assert (again.status_code, capacity.calls) == (503, 3)
        assert time.monotonic() - before >= RETRY_AFTER - TICK
        # The delay counts in the metrics and the access log.
        assert booking_seconds() - counted >= RETRY_AFTER - (retried - before) - TICK
        # Another connection got no Retry-After.
        async with one_connection(server) as other:
            assert (await other.post(PATH, content=BODY, headers=headers)).status_code == 503
        assert capacity.calls == 4


async def test_a_delayed_request_is_served_when_there_is_capacity_by_then(
    settings: GatewaySettings,
    backends: ScriptedBackends,
    booking: pb.Booking,
    bearer: Bearer,
    capacity: Capacity,
) -> None:
    backends.answers["CreateBooking"] = pb.CreateBookingResponse(booking=booking)
    headers = bearer() | {"Content-Type": "application/json"}
    async with open_server(settings) as server, one_connection(server) as client:
        assert (await client.post(PATH, content=BODY, headers=headers)).status_code == 503
        early = asyncio.create_task(client.post(PATH, content=BODY, headers=headers))
        await until(lambda: THROTTLED._value.get() == 1)
        capacity.free = True
        assert (await early).status_code == 201
        assert THROTTLED._value.get() == 0


async def test_a_client_that_disconnects_while_delayed_is_not_booked_and_nothing_is_logged(
    settings: GatewaySettings,
    backends: ScriptedBackends,
    bearer: Bearer,
    capacity: Capacity,
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with open_server(settings) as server:
        headers = bearer() | {"Idempotency-Key": "leaves"}
        reader, writer = await _send_raw(server.url, headers)
        assert b" 503 " in await reader.readline()
        writer.write(_booking(server.url, headers))
        await until(lambda: THROTTLED._value.get() == 1)
        writer.close()
        await writer.wait_closed()
        capacity.free = True
        await until(lambda: THROTTLED._value.get() == 0)
        async with one_connection(server) as other:
            assert (await other.get("/livez")).status_code == 200
    assert capacity.calls == 3
    assert backends.was_not_called("CreateBooking")
    assert "Exception" not in "".join(capfd.readouterr())


async def test_a_large_request_is_rejected_at_once_since_delayed_requests_use_memory(
    settings: GatewaySettings, bearer: Bearer, capacity: Capacity
) -> None:
    headers = bearer() | {"Content-Type": "application/json"}
    long_body = BODY + b" " * 512, headers
    long_head = BODY, headers | {"X-Much": "x" * 9_000}
    async with open_server(settings) as server, one_connection(server) as client:
        for calls, (body, head) in enumerate([long_body, long_body, long_head], 1):
            answer = await client.post(PATH, content=body, headers=head)
            # A delayed request would check twice.
            assert (answer.status_code, capacity.calls) == (503, calls)


async def test_a_gateway_that_stops_releases_delayed_requests(
    settings: GatewaySettings, bearer: Bearer, capacity: Capacity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problems, "RETRY_AFTER_SECONDS", (int(DEADLINE), int(DEADLINE)))
    headers = bearer() | {"Content-Type": "application/json"}
    async with open_server(settings) as server, one_connection(server) as client:
        assert (await client.post(PATH, content=BODY, headers=headers)).status_code == 503
        early = asyncio.create_task(client.post(PATH, content=BODY, headers=headers))
        await until(lambda: THROTTLED._value.get() == 1)
        server.stop.set()
        assert (await early).status_code == 503
        assert capacity.calls == 3


async def _send_raw(
    url: str, headers: dict[str, str]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a booking over a connection that the test can close."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(_booking(url, headers))
    await writer.drain()
    return reader, writer


def _booking(url: str, headers: dict[str, str]) -> bytes:
    usual = {
        "Host": url.removeprefix("http://"),
        "Content-Type": "application/json",
        "Content-Length": str(len(BODY)),
    }
    lines = [f"{name}: {value}\r\n" for name, value in (usual | headers).items()]
    return f"POST {PATH} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + BODY
