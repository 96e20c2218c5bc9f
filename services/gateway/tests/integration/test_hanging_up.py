"""Who closes the connection while waiting for booking is not booked."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import httpx
from gateway.app import create_app
from gateway.bootstrap import open_parts
from gateway.coalescer import Coalescer, Limits
from gateway.config import GatewaySettings
from gateway.hang_up import has_hung_up
from gateway.server import address, bind, serve
from gateway.sold_out import BookingDesk, SoldOut
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.lifecycle import Stop
from goticket_testing.scripted import ScriptedBackends
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
PATH = f"/api/v1/events/{EVENT}/bookings"
BODY = json.dumps({"quantity": 1}).encode()
PATIENCE = 60.0

Bearer = Callable[..., dict[str, str]]


class StuckBooking:
    """Answers a booking that comes alone once it is let go, and a batch at once."""

    def __init__(self, booking: pb.Booking) -> None:
        self.let_go = asyncio.Event()
        self._made = pb.CreateBookingResponse(booking=booking)

    async def one(self, _request: pb.CreateBookingRequest) -> pb.CreateBookingResponse:
        await self.let_go.wait()
        return self._made

    def many(self, batch: pb.BatchCreateBookingsRequest) -> pb.BatchCreateBookingsResponse:
        results = [pb.BatchResult(created=self._made) for _ in batch.requests]
        return pb.BatchCreateBookingsResponse(results=results)


@dataclass
class Door:
    """A gateway behind a real port, and what a test can see of it; `now` is the queue's clock."""

    app: ASGIApp
    carrier: Coalescer
    url: str = ""
    now: float = 0.0
    connections: dict[str, Receive] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, and remember its connection by its idempotency key."""
        if key := Headers(scope=scope).get("Idempotency-Key"):
            self.connections[key] = receive
        await self.app(scope, receive, send)


@asynccontextmanager
async def open_door(settings: GatewaySettings) -> AsyncIterator[Door]:
    bound = bind(settings.listen, share=False)
    async with open_parts(settings) as parts:
        booking = parts.backends.booking
        carrier = Coalescer(
            booking.create, booking.create_many, Limits(deadline=PATIENCE), lambda: door.now
        )
        desk = BookingDesk(carrier, SoldOut(time.monotonic))
        app = create_app(replace(parts, desk=desk), max_body_bytes=settings.max_body_bytes)
        door = Door(app, carrier)
        stop = Stop()
        serving = asyncio.create_task(serve(door, bound, parts.health, stop))
        try:
            await until(lambda: parts.health.ready)
            door.url = f"http://{address(bound)}"
            yield door
        finally:
            await carrier.aclose()
            stop.set()
            await serving


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def test_who_hangs_up_in_the_queue_is_not_booked_and_the_others_are(
    settings: GatewaySettings, backends: ScriptedBackends, booking: pb.Booking, bearer: Bearer
) -> None:
    stuck = StuckBooking(booking)
    backends.answers |= {"CreateBooking": stuck.one, "BatchCreateBookings": stuck.many}
    async with open_door(settings) as door, httpx.AsyncClient(timeout=PATIENCE) as client:

        def book(key: str) -> asyncio.Task[httpx.Response]:
            headers = bearer() | {"Idempotency-Key": key, "Content-Type": "application/json"}
            return asyncio.create_task(client.post(door.url + PATH, content=BODY, headers=headers))

        first = book("first")
        await until(lambda: not backends.never_asked("CreateBooking"))
        before = book("before")
        await until(lambda: door.carrier.waiting == 1)
        writer = await _send_by_hand(door.url, bearer() | {"Idempotency-Key": "leaves"})
        await until(lambda: door.carrier.waiting == 2)
        after = book("after")
        await until(lambda: door.carrier.waiting == 3)

        writer.close()
        await until(lambda: has_hung_up(door.connections["leaves"]))
        door.now += 1.0  # long enough to be asked whether they are still there
        stuck.let_go.set()
        answers = await asyncio.gather(first, before, after)

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert backends.asked("CreateBooking").idempotency_key == "first"
    batch = backends.asked("BatchCreateBookings").requests
    assert [request.idempotency_key for request in batch] == ["before", "after"]


async def _send_by_hand(url: str, headers: dict[str, str]) -> asyncio.StreamWriter:
    """Send a booking over a connection that the test can close."""
    host, port = url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    usual = {"Host": host, "Content-Type": "application/json", "Content-Length": str(len(BODY))}
    lines = [f"{name}: {value}\r\n" for name, value in (usual | headers).items()]
    writer.write(f"POST {PATH} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + BODY)
    await writer.drain()
    return writer
