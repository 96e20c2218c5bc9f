"""A response is written with one system call; a connection that cannot be closed is aborted."""

import asyncio
from typing import Any

import pytest
from gateway.http import protocol, write_buffer
from gateway.http.protocol import HttpProtocol
from gateway.http.write_buffer import WriteBuffer
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState


class Transport(asyncio.Transport):
    """Keeps the bytes that reach the kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def write_eof(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return name


async def test_writes_of_one_turn_are_sent_together_and_in_order() -> None:
    transport = Transport()
    wrapped = WriteBuffer(transport)
    wrapped.write(b"head ")
    wrapped.write(bytearray(b"body"))
    assert transport.written == []
    await asyncio.sleep(0)
    assert transport.written == [b"head body"]
    wrapped.write(b"next")
    await asyncio.sleep(0)
    assert transport.written == [b"head body", b"next"]


async def test_closing_writes_first() -> None:
    transport = Transport()
    wrapped = WriteBuffer(transport)
    wrapped.write(b"last words")
    wrapped.close()
    wrapped.stop_watching()
    await asyncio.sleep(0)
    assert (transport.written, transport.closed) == ([b"last words"], True)


async def test_nothing_is_written_to_a_connection_that_was_lost_meanwhile() -> None:
    transport = Transport()
    wrapped = WriteBuffer(transport)
    wrapped.write(b"too late")
    transport.closed = True
    await asyncio.sleep(0)
    assert transport.written == []


async def test_other_calls_go_to_the_transport() -> None:
    assert WriteBuffer(Transport()).get_extra_info("peername") == "peername"


class Stuck(Transport):
    """A connection whose client reads nothing, so that closing does not end it."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = asyncio.Event()

    def abort(self) -> None:
        self.aborted.set()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return None


async def test_a_connection_that_cannot_be_closed_is_aborted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.0)
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.0)

    async def application(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError

    transport = Stuck()
    connection = HttpProtocol(config=Config(application), server_state=ServerState(), app_state={})
    connection.connection_made(transport)
    connection.data_received(b"GET / HT")
    async with asyncio.timeout(60.0):
        await transport.aborted.wait()
    assert transport.closed
    assert transport.written[0].startswith(b"HTTP/1.1 408 ")
    connection.connection_lost(None)


async def test_a_closed_connection_whose_client_does_not_read_is_aborted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(write_buffer, "UNREAD_SECONDS", 0.0)
    transport = Stuck()
    wrapped = WriteBuffer(transport)
    wrapped.write(b"a response that is shorter than the kernel's buffers")
    wrapped.close()
    async with asyncio.timeout(60.0):
        await transport.aborted.wait()
