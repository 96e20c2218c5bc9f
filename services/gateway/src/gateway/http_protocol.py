"""uvicorn's HTTP protocol, with one system call for an answer instead of two."""

import asyncio
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.patience import with_connection

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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base has it
        """Begin to serve a connection."""
        super().connection_made(OneWrite(transport))
        self.app_state = with_connection(self.app_state)
