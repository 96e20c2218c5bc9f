"""uvicorn's HTTP protocol: one system call for an answer, and no patience with half a request."""

import asyncio
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.patience import with_connection

REQUEST_SECONDS = 10.0
"""From the first byte of a request to its last. Who sends half a request takes the place of
somebody who is served; uvicorn would wait for the rest for ever."""

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
    """The protocol of a connection."""

    _arriving = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base has it
        """Begin to serve a connection."""
        super().connection_made(OneWrite(transport))
        self.app_state = with_connection(self.app_state)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._no_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read; what has not arrived in whole has a deadline."""
        super().data_received(data)
        if self._arriving and self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def on_message_begin(self) -> None:
        """Note that a request has begun."""
        self._arriving = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Note that it is there."""
        self._arriving = False
        self._no_deadline()
        super().on_message_complete()

    def _no_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
