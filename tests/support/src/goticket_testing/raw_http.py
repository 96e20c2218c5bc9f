"""One HTTP connection without an HTTP client: requests that no client sends."""

import asyncio
import contextlib
import json
from typing import Any

DEADLINE = 60.0


class RawClient:
    """One connection without an HTTP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, text: str) -> None:
        """Send text, whose line ends become CR LF."""
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

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def is_closed(self) -> bool:
        """Wait until there is nothing more to read, because the connection is closed."""
        async with asyncio.timeout(DEADLINE):
            with contextlib.suppress(ConnectionResetError):
                return await self.reader.read() == b""
            return True
