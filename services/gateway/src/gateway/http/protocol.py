"""uvicorn's HTTP protocol: one system call per response, and time limits for slow clients."""

import asyncio
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.booking_submission.retry_throttle import with_connection_state

REQUEST_SECONDS = 10.0
"""From the first byte of a request to its last. Half a request takes up the capacity of a
whole one; uvicorn would wait for the rest without a limit."""
UNREAD_SECONDS = 30.0
"""Time limit without progress of a client that reads a response."""
FLUSH_SECONDS = 1.0
"""Time limit for writing the last response of a connection."""
MAX_HEAD_BYTES = 65_536
"""Size of a request line with its header fields; checked after each chunk that arrives."""

_TIMEOUT = "408 Request Timeout"
_TOO_LARGE = "431 Request Header Fields Too Large"

if TYPE_CHECKING:
    _Transport = asyncio.Transport
else:
    _Transport = object


class WriteBuffer(_Transport):
    """Buffers what is written in one turn of the loop, and writes it in one system call.

    uvicorn writes the head of a response and its body separately, and uvloop passes each to the
    kernel at once. That costs a tenth of a response, and a second read for the client.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._chunks: list[bytes] = []

    def __getattr__(self, name: str) -> object:
        """Delegate everything else to the transport."""
        return getattr(self._transport, name)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write `data` at the end of this turn of the loop."""
        if not self._chunks:
            self._loop.call_soon(self._flush)
        self._chunks.append(bytes(data))

    def close(self) -> None:
        """Close the connection once everything is written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        chunks, self._chunks = self._chunks, []
        if chunks and not self._transport.is_closing():
            self._transport.write(b"".join(chunks))


class HttpProtocol(HttpToolsProtocol):
    """The protocol of a connection, with time limits.

    A request has to arrive, a response to be read, and a connection to be used.
    """

    _arriving = False
    _head_bytes: int | None = None  # while a head arrives
    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base has it
        """Start to serve a connection."""
        super().connection_made(WriteBuffer(transport))
        self.app_state = with_connection_state(self.app_state)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release what belongs to the connection."""
        self._clear_deadline()
        self.resume_writing()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; a request that is not complete yet has a deadline."""
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._end(_TOO_LARGE)
                return
        if not self._arriving:
            self._expect_request()
        elif self._deadline is None:
            self._set_deadline()

    def on_message_begin(self) -> None:
        """Record that a request has begun."""
        self._arriving = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Record that its head is complete."""
        self._head_bytes = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Record that it is complete."""
        self._arriving = False
        self._clear_deadline()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Continue with the next request, which was not read meanwhile."""
        super().on_response_complete()
        if self._deadline is not None:
            self._set_deadline()

    def pause_writing(self) -> None:
        """Wait for the client to read, within a limit."""
        self._watch_reader()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Continue with the response."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def _watch_reader(self) -> None:
        unwritten = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self._check_reader, unwritten)

    def _check_reader(self, unwritten: int) -> None:
        if self.transport.get_write_buffer_size() < unwritten:
            self._watch_reader()  # slow, but it reads
        else:
            self.transport.abort()

    def _expect_request(self) -> None:
        """Close the connection if no request comes; empty lines are not one."""
        if not self._is_responding() and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _time_out(self) -> None:
        """Close a connection whose request is not complete in time."""
        if self._has_earlier_request():
            self._set_deadline()  # nothing is read meanwhile, so the rest may have arrived
        else:
            self._end(_TIMEOUT)

    def _has_earlier_request(self) -> bool:
        """Return whether a request before the one that arrives has no complete response yet."""
        if self._head_bytes is None:
            return bool(self.pipeline)
        return self._is_responding()

    def _is_responding(self) -> bool:
        """Return whether the latest request with a complete head has no complete response yet."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first
        return cycle is not None and not cycle.response_complete

    def _end(self, status: str) -> None:
        """Answer with `status`, unless a response has begun, and close."""
        has_begun = self._head_bytes is None and self.cycle.response_started
        if not has_begun and not self._has_earlier_request():
            head = f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode())
        self.transport.close()
        # Closing waits until everything is written, and the request's task waits for that.
        self.loop.call_later(FLUSH_SECONDS, self.transport.abort)

    def _set_deadline(self) -> None:
        self._clear_deadline()
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._time_out)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
