"""A connection never costs more memory than docs/connections.md says, and gives it back."""

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.http import protocol, received_bytes, request_head, write_buffer
from goticket_testing.gateway_process import running
from goticket_testing.messaging import eventually
from goticket_testing.scripted import ScriptedBackends

MIB = 1024 * 1024
PER_CONNECTION = MIB
"""The bound of docs/connections.md."""
CONNECTIONS = 30
ROUNDS = 2
SENT = MIB
"""Bytes that each connection of an attack sends, unless it is closed or not read any more."""
STALL_SECONDS = 0.5
DEADLINE = 60.0

HEAD = b"POST /api/v1/events HTTP/1.1\r\nHost: gateway\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: g\r\n\r\n"
PIECE = 100_000


def repeated(begin: bytes, unit: bytes) -> Iterator[bytes]:
    """Return `begin` and then pieces of `unit` again and again."""
    piece = unit * (PIECE // len(unit) + 1)
    return itertools.chain([begin], itertools.repeat(piece))


ATTACKS: dict[str, Callable[[], Iterator[bytes]]] = {
    "one long header field": lambda: repeated(HEAD + b"X: ", b"x"),
    "many short header fields": lambda: repeated(HEAD, b"a:b\r\n"),
    "a long request target": lambda: repeated(b"GET /", b"x"),
    "a head that is almost too large": lambda: iter([HEAD + b"X: " + b"x" * 60_000]),
    "many short trailer fields": lambda: repeated(CHUNKED + b"0\r\n", b"a:b\r\n"),
    "one long trailer field": lambda: repeated(CHUNKED + b"0\r\na: ", b"x"),
    "one long chunk extension": lambda: repeated(CHUNKED + b"1;", b"x"),
    "many chunk extensions": lambda: repeated(CHUNKED, b"1;" + b"x" * 50 + b"\r\n \r\n"),
    "a large body": lambda: repeated(HEAD + b"Content-Length: 99999999\r\n\r\n", b"x"),
    "a large body in small chunks": lambda: repeated(CHUNKED, b"10\r\n" + b" " * 16 + b"\r\n"),
    "pipelined requests": lambda: repeated(b"", GET),
    "unread responses": lambda: repeated(b"", GET.replace(b"livez", b"openapi.json")),
    "empty lines": lambda: repeated(b"", b"\r\n"),
}


@asynccontextmanager
async def attacking(port: int, pieces: Callable[[], Iterator[bytes]]) -> AsyncIterator[None]:
    """Keep connections open, on which everything was sent that the gateway takes."""
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    writers = [writer for _, writer in opened]
    await asyncio.gather(*(_send(writer, pieces()) for writer in writers))
    yield
    for writer in writers:
        writer.transport.abort()


async def _send(writer: asyncio.StreamWriter, pieces: Iterator[bytes]) -> None:
    sent = 0
    with contextlib.suppress(ConnectionError, TimeoutError):
        for piece in pieces:
            writer.write(piece)
            async with asyncio.timeout(STALL_SECONDS):
                await writer.drain()
            sent += len(piece)
            if sent > SENT:
                break


class Memory:
    """The resident memory of a process in bytes."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def now(self) -> int:
        return self._field("VmRSS")

    def peak(self) -> int:
        return self._field("VmHWM")

    def forget_peak(self) -> None:
        (self._folder / "clear_refs").write_text("5")

    def open_files(self) -> int:
        return len(list((self._folder / "fd").iterdir()))

    def _field(self, name: str) -> int:
        found = re.search(rf"^{name}:\s*(\d+) kB$", (self._folder / "status").read_text(), re.M)
        assert found
        return int(found[1]) * 1024


async def probe(port: int) -> None:
    """Check that the gateway serves others; it has then parsed what was sent before."""
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert b" 200 OK\r\n" in await reader.read()
        writer.close()


async def discard(stream: asyncio.StreamReader | None) -> None:
    assert stream
    while await stream.read(MIB):
        pass


async def test_no_attack_costs_more_memory_than_the_bound_and_all_of_it_is_given_back(
    backends: ScriptedBackends,
) -> None:
    async with running(backends) as gateway:
        port = int((await gateway.url()).rpartition(":")[2])
        log = asyncio.create_task(discard(gateway.process.stderr))
        memory = Memory(gateway.process.pid)
        await probe(port)
        files = memory.open_files()
        at_rest = []
        for _ in range(ROUNDS):
            for name, pieces in ATTACKS.items():
                before = memory.now()
                memory.forget_peak()
                async with attacking(port, pieces):
                    await probe(port)
                await eventually(lambda: memory.open_files() <= files, seconds=DEADLINE)
                await probe(port)
                assert memory.peak() - before <= CONNECTIONS * PER_CONNECTION, name
            at_rest.append(memory.now())
        # A first round fills allocator and caches. Further rounds keep less than one connection
        # of each attack may cost.
        assert at_rest[-1] - at_rest[0] <= len(ATTACKS) * PER_CONNECTION
        log.cancel()


def test_the_documented_limits_are_those_of_the_code() -> None:
    text = (Path(__file__).parents[4] / "docs" / "connections.md").read_text()
    for module in (protocol, received_bytes, request_head, write_buffer):
        for name, value in vars(module).items():
            if name.startswith("MAX_") or name.endswith("_SECONDS"):
                assert f"| `{name}` | {value:,.0f} |" in text, name
    assert f"{PER_CONNECTION // MIB} MiB" in text
