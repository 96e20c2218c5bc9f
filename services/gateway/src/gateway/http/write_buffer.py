"""A connection's transport: one system call per response, and a time limit for its reader."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

UNREAD_SECONDS = 30.0
"""Time limit without progress of a client that reads a response."""

if TYPE_CHECKING:
    _Transport = asyncio.Transport
else:
    _Transport = object


def _ignore() -> None:
    pass


class WriteBuffer(_Transport):
    """Buffers what is written in one turn of the loop, and writes it in one system call.

    uvicorn writes the head of a response and its body separately, and uvloop passes each to the
    kernel at once. That costs a tenth of a response, and a second read for the client.
    `on_resume` is called when reading is resumed.
    """

    def __init__(
        self, transport: asyncio.Transport, on_resume: Callable[[], None] = _ignore
    ) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._chunks: list[bytes] = []
        self._on_resume = on_resume
        self._unread: asyncio.TimerHandle | None = None

    def __getattr__(self, name: str) -> object:
        """Delegate everything else to the transport."""
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Return whether the connection is closed or lost."""
        return self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write `data` at the end of this turn of the loop."""
        if not self._chunks:
            self._loop.call_soon(self._flush)
        self._chunks.append(bytes(data))

    def resume_reading(self) -> None:
        """Read again."""
        self._transport.resume_reading()
        self._on_resume()

    def write_eof(self) -> None:
        """Close the sending side once everything is written."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Close the connection once everything is written, or its reader makes no progress."""
        self._flush()
        self._transport.close()
        self.watch_reader()

    def watch_reader(self) -> None:
        """Abort the connection when its client reads nothing for UNREAD_SECONDS."""
        if self._unread is None:
            unwritten = self._transport.get_write_buffer_size()
            self._unread = self._loop.call_later(UNREAD_SECONDS, self._check_reader, unwritten)

    def stop_watching(self) -> None:
        """Forget the time limit: the client has read enough, or the connection is lost."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _check_reader(self, unwritten: int) -> None:
        self._unread = None
        if self._transport.get_write_buffer_size() < unwritten:
            self.watch_reader()  # slow, but it reads
        else:
            self._transport.abort()

    def _flush(self) -> None:
        chunks, self._chunks = self._chunks, []
        if chunks and not self._transport.is_closing():
            self._transport.write(b"".join(chunks))
