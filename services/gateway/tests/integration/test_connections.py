"""Slow and idle clients time out, and clients that make progress do not."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from gateway.http import protocol, server, write_buffer
from gateway.http.server import bind, serve
from goticket_platform.lifecycle import Stop
from goticket_platform.ops import Health
from goticket_testing.messaging import eventually
from starlette.types import Receive, Scope, Send

DEADLINE = 60.0
until = partial(eventually, seconds=DEADLINE)
BIG = b"x" * 8_000_000


class Small:
    """Answers with the request's body; on "/slow" after its release, on "/big" with much."""

    def __init__(self) -> None:
        self.inside = 0
        self.begun = 0
        self.released = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        self.begun += 1
        try:
            body = b""
            while (message := await receive())["type"] == "http.request":
                body += message["body"]
                if not message.get("more_body"):
                    break
            else:
                return
            if scope["path"] == "/slow":
                await self.released.wait()
            answer, end = (BIG, b"end") if scope["path"] == "/big" else (body, b"")
            headers = [(b"content-length", b"%d" % len(answer + end))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": answer, "more_body": True})
            await asyncio.sleep(0)  # it is written at the end of the turn
            await send({"type": "http.response.body", "body": end})
        finally:
            self.inside -= 1


class Client:
    """One connection without an HTTP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, text: str) -> None:
        self.writer.write(text.replace("\n", "\r\n").encode())
        await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """The status and the body of the next answer."""
        async with asyncio.timeout(DEADLINE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split()[0])
            return int(head.split()[1]), await self.reader.readexactly(length)

    async def problem(self, status: int, code: str) -> dict[str, Any]:
        """Check that the next answer is a whole problem document, and return it."""
        async with asyncio.timeout(DEADLINE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length:")[1].split()[0])
            problem: dict[str, Any] = json.loads(await self.reader.readexactly(length))
        assert (int(head.split()[1]), problem["error"]) == (status, code)
        assert "content-type: application/problem+json" in head
        assert f"x-request-id: {problem['requestId'].lower()}" in head
        assert problem["status"] == status
        assert problem["message"] == problem["detail"]
        return problem

    async def read(self, size: int) -> None:
        """Read `size` bytes."""
        async with asyncio.timeout(DEADLINE):
            await self.reader.readexactly(size)

    async def is_closed(self) -> bool:
        """Wait until there is nothing more to read, because the connection is closed."""
        async with asyncio.timeout(DEADLINE):
            with contextlib.suppress(ConnectionResetError):
                return await self.reader.read() == b""
            return True


@pytest.fixture
async def small() -> Small:
    return Small()


@pytest.fixture
async def port(small: Small, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.3)
    monkeypatch.setattr(write_buffer, "UNREAD_SECONDS", 0.3)
    monkeypatch.setattr(protocol, "FLUSH_SECONDS", 0.3)
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", 2)
    bound = bind("127.0.0.1:0", share=False)
    health, stop = Health(), Stop()
    serving = asyncio.create_task(serve(small, bound, health, stop))
    await until(lambda: health.ready)
    yield bound.getsockname()[1]
    stop.set()
    await serving


@pytest.fixture
async def clients(port: int) -> AsyncIterator[Callable[[], asyncio.Task[Client]]]:
    """Opens connections with small kernel buffers."""
    opened: list[Client] = []

    async def connect() -> Client:
        mine = socket.socket()
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        mine.setblocking(False)
        await asyncio.get_running_loop().sock_connect(mine, ("127.0.0.1", port))
        opened.append(Client(*await asyncio.open_connection(sock=mine, limit=4_096)))
        return opened[-1]

    yield lambda: asyncio.create_task(connect())
    for client in opened:
        client.writer.close()


Clients = Callable[[], asyncio.Task[Client]]


async def test_an_incomplete_body_times_out(clients: Clients, small: Small) -> None:
    client = await clients()
    await client.send("POST / HTTP/1.1\nhost: g\ncontent-length: 9\n\nhalf")
    await until(lambda: small.inside == 1)
    await client.problem(408, "request_timeout")
    assert await client.is_closed()
    await until(lambda: small.inside == 0)


async def test_an_incomplete_head_times_out(clients: Clients, small: Small) -> None:
    client = await clients()
    await client.send("GET / HTTP/1.1\nho")
    await client.problem(408, "request_timeout")
    assert await client.is_closed()
    assert small.begun == 0


async def test_a_head_without_end_is_rejected(clients: Clients, small: Small) -> None:
    client = await clients()
    await client.send("GET / HTTP/1.1\n" + "x-much: " + "x" * 400_000)
    await client.problem(431, "headers_too_large")
    assert await client.is_closed()
    assert small.begun == 0


async def test_a_response_that_the_client_does_not_read_times_out(
    clients: Clients, small: Small
) -> None:
    client = await clients()
    await client.send("GET /big HTTP/1.1\nhost: g\n\n")
    await until(lambda: small.begun == 1)
    await until(lambda: small.inside == 0)


async def test_an_unread_response_times_out_despite_an_incomplete_request_behind_it(
    clients: Clients, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_buffer, "UNREAD_SECONDS", DEADLINE)
    client = await clients()
    await client.send("GET /big HTTP/1.1\nhost: g\n\n")
    await client.read(len(BIG) - 100_000)  # the rest is in the kernel's buffers
    await client.send("POST / HTTP/1.1\nhost: g\ncontent-length: 9\n\nhalf")
    await until(lambda: small.begun == 2)
    await until(lambda: small.inside == 0)


async def test_a_request_in_pieces_gets_a_late_response(
    clients: Clients, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 2.0)
    client = await clients()
    for piece in ("POST /slow HT", "TP/1.1\nhost: g\ncontent-length: 8\n\n", "two ", "more"):
        await client.send(piece)
        await asyncio.sleep(0.02)
    await until(lambda: small.inside == 1)
    await asyncio.sleep(2.2)
    small.released.set()
    assert await client.answer() == (200, b"two more")
    await client.send("POST / HTTP/1.1\nhost: g\ncontent-length: 4\n\nnext")
    assert await client.answer() == (200, b"next")


async def test_a_pipelined_requests_deadline_starts_after_the_request_before_it(
    clients: Clients, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 1.0)
    client = await clients()
    await client.send("GET /slow HTTP/1.1\nhost: g\n\n")
    await until(lambda: small.inside == 1)
    await client.send("POST / HTTP/1.1\nhost: g\ncontent-length: 4\n\n")
    await asyncio.sleep(0.05)
    await client.send("next")  # unread until the first is answered
    await asyncio.sleep(1.9)
    small.released.set()
    assert await client.answer() == (200, b"")
    assert await client.answer() == (200, b"next")


async def test_a_slow_reader_gets_the_whole_response(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_buffer, "UNREAD_SECONDS", 1.0)
    client = await clients()
    await client.send("GET /big HTTP/1.1\nhost: g\n\n")
    await client.reader.readuntil(b"\r\n\r\n")
    for _ in range(20):  # in two seconds
        await client.read(len(BIG) // 20)
        await asyncio.sleep(0.1)
    assert await client.reader.readexactly(3) == b"end"


@pytest.mark.parametrize("sent", ["", "\n"])
async def test_an_unused_connection_is_closed(clients: Clients, sent: str) -> None:
    client = await clients()
    await client.send(sent)
    assert await client.is_closed()


async def test_an_empty_line_after_a_response_keeps_no_connection_open(clients: Clients) -> None:
    client = await clients()
    await client.send("GET / HTTP/1.1\nhost: g\n\n")
    assert await client.answer() == (200, b"")
    await client.send("\n")
    assert await client.is_closed()
