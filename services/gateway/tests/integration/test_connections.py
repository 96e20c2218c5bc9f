"""Slow and idle clients time out, and clients that make progress do not."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
from gateway.http import protocol, server, write_buffer
from gateway.http.server import bind, serve
from goticket_platform.lifecycle import Stop
from goticket_platform.ops import Health
from goticket_testing.messaging import eventually
from goticket_testing.raw_http import DEADLINE, RawClient
from starlette.types import Receive, Scope, Send

until = partial(eventually, seconds=DEADLINE)
BIG = b"x" * 8_000_000


class Small:
    """Answers with the request's body; on "/slow" after its release, on "/big" with much."""

    def __init__(self) -> None:
        self.messages = 0
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
                self.messages += 1
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


Clients = Callable[[], asyncio.Task[RawClient]]


@pytest.fixture
async def small() -> Small:
    return Small()


@pytest.fixture
async def port(small: Small, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.3)
    monkeypatch.setattr(write_buffer, "UNREAD_SECONDS", 0.3)
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.3)
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", 2)
    bound = bind("127.0.0.1:0", share=False)
    health, stop = Health(), Stop()
    serving = asyncio.create_task(serve(small, bound, health, stop))
    await until(lambda: health.ready)
    yield bound.getsockname()[1]
    stop.set()
    await serving


@pytest.fixture
async def clients(port: int) -> AsyncIterator[Clients]:
    """Opens connections with small kernel buffers."""
    opened: list[RawClient] = []

    async def connect() -> RawClient:
        mine = socket.socket()
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        mine.setblocking(False)
        await asyncio.get_running_loop().sock_connect(mine, ("127.0.0.1", port))
        opened.append(RawClient(*await asyncio.open_connection(sock=mine, limit=4_096)))
        return opened[-1]

    yield lambda: asyncio.create_task(connect())
    for client in opened:
        client.writer.close()


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


async def test_the_body_of_a_slow_client_is_one_message(clients: Clients, small: Small) -> None:
    client = await clients()
    await client.send("POST / HTTP/1.1\nhost: g\ncontent-length: 50\n\n")
    for _ in range(50):
        await client.send("x")
        await asyncio.sleep(0.001)
    assert await client.answer() == (200, b"x" * 50)
    assert small.messages == 1


@pytest.mark.parametrize("framing", ["content-length: 1000000", "transfer-encoding: chunked"])
async def test_a_large_body_arrives_in_pieces_and_in_order(
    clients: Clients, small: Small, framing: str
) -> None:
    body = b"".join(b"%09d\n" % number for number in range(100_000))
    client = await clients()
    await client.send(f"POST / HTTP/1.1\nhost: g\n{framing}\n\n")
    sent = body if "length" in framing else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    await client.send_bytes(sent)
    assert await client.answer() == (200, body)
    assert 1 < small.messages < 32


async def test_pipelined_requests_are_answered_one_after_the_other(
    clients: Clients, small: Small
) -> None:
    client = await clients()
    posts = [f"POST /{n} HTTP/1.1\nhost: g\ncontent-length: 4\n\n{n:04}" for n in range(100)]
    await client.send("GET /slow HTTP/1.1\nhost: g\n\n" + "".join(posts))
    await until(lambda: small.inside == 1)
    await client.send("GET / HTTP/1.1\nhost: g\n\n")
    assert small.begun == 1
    small.released.set()
    assert await client.answer() == (200, b"")
    for number in range(100):
        assert await client.answer() == (200, b"%04d" % number)
    assert await client.answer() == (200, b"")
