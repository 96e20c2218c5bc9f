"""uvicorn's HTTP protocol: one system call for an answer, and no patience with half a request."""

import asyncio
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.patience import with_connection

REQUEST_SECONDS = 10.0
"""From the first byte of a request to its last. Who sends half a request takes the place of
somebody who is served; uvicorn would wait for the rest for ever."""
UNREAD_SECONDS = 30.0
"""How long a client may read nothing of an answer while there is more to write."""
FLUSH_SECONDS = 1.0
"""How long the last words to a client may take."""
MAX_HEAD_BYTES = 65_536
"""Of a request line with its headers; what arrives in one piece is looked at afterwards."""

_TIMEOUT = "408 Request Timeout"
_TOO_LARGE = "431 Request Header Fields Too Large"

if TYPE_CHECKING:
    _Transport = asyncio.Transport
else:
    _Transport = object


class OneWrite(_Transport):
    """Gathers what is written in one turn of the loop, and writes it together.

    uvicorn writes the head of an answer and its body apart, and uvloop hands each to the
    kernel at once: a tenth of what an answer costs, and for the client a second read.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []

    def __getattr__(self, name: str) -> object:
        """Leave everything else to the transport."""
        return getattr(self._transport, name)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write `data` at the end of this turn of the loop."""
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(bytes(data))

    def close(self) -> None:
        """Close the connection once everything is written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces and not self._transport.is_closing():
            self._transport.write(b"".join(pieces))


class HttpProtocol(HttpToolsProtocol):
    """The protocol of a connection.

    No client keeps a place for nothing: a request has to arrive, an answer to be read, and
    a connection to be used.
    """

    _arriving = False
    _head_bytes: int | None = None  # while a head arrives
    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base has it
        """Begin to serve a connection."""
        super().connection_made(OneWrite(transport))
        self.app_state = with_connection(self.app_state)
        self._expect_a_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._no_deadline()
        self.resume_writing()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read; what has not arrived in whole has a deadline."""
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._end(_TOO_LARGE)
                return
        if not self._arriving:
            self._expect_a_request()
        elif self._deadline is None:
            self._set_deadline()

    def on_message_begin(self) -> None:
        """Note that a request has begun."""
        self._arriving = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that its head is there."""
        self._head_bytes = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that all of it is there."""
        self._arriving = False
        self._no_deadline()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, which was not read meanwhile."""
        super().on_response_complete()
        if self._deadline is not None:
            self._set_deadline()

    def pause_writing(self) -> None:
        """Wait for the client to read, but not for ever."""
        self._watch_the_reader()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on with the answer."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def _watch_the_reader(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self._look_at_the_reader, left)

    def _look_at_the_reader(self, left: int) -> None:
        if self.transport.get_write_buffer_size() < left:
            self._watch_the_reader()  # slow, but reading
        else:
            self.transport.abort()

    def _expect_a_request(self) -> None:
        """Close the connection if none comes; empty lines are none."""
        if not self._is_answering() and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _give_up(self) -> None:
        """Close a connection whose request does not arrive."""
        if self._is_busy_before():
            self._set_deadline()  # nothing is read meanwhile, so the rest may well be there
        else:
            self._end(_TIMEOUT)

    def _is_busy_before(self) -> bool:
        """Tell whether an answer is under way to a request before the one that arrives."""
        if self._head_bytes is None:
            return bool(self.pipeline)
        return self._is_answering()

    def _is_answering(self) -> bool:
        """Tell whether the latest request whose head has arrived is not answered yet."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first
        return cycle is not None and not cycle.response_complete

    def _end(self, status: str) -> None:
        """Say why, unless an answer is under way, and close."""
        has_begun = self._head_bytes is None and self.cycle.response_started
        if not has_begun and not self._is_busy_before():
            head = f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode())
        self.transport.close()
        # Closing waits until all is written, and whoever serves the request for that.
        self.loop.call_later(FLUSH_SECONDS, self.transport.abort)

    def _set_deadline(self) -> None:
        self._no_deadline()
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._give_up)

    def _no_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
