"""uvicorn's HTTP protocol with a bound on the memory and the time that one connection costs.

docs/connections.md states both. uvicorn parses everything that it receives, whereas here the
parser gets one request at a time. The next one waits unparsed, and is not read from the kernel,
until the response is complete.
"""

import asyncio

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.booking_submission.retry_throttle import with_connection_state
from gateway.http.problems import Problem
from gateway.http.received_bytes import END, ReceivedBytes
from gateway.http.request_head import (
    MAX_HEADER_FIELDS,
    MAX_TARGET_BYTES,
    check_head,
    malformed,
    origin_form,
)
from gateway.http.unserved import close_unless_continued, unserved_response
from gateway.http.write_buffer import WriteBuffer

REQUEST_SECONDS = 10.0
"""From the first byte of a request to its last. Half a request takes up the capacity of a
whole one; uvicorn would wait for the rest without a limit."""
LINGER_SECONDS = 1.0
"""Time limit of the client to read the response to a request that is not served."""
MAX_HEAD_BYTES = 65_536
"""Size of a request line with its header fields."""
MAX_FRAMING_BYTES = 16_384
"""Size of a request's trailer fields and chunk extensions (RFC 9112, section 7.1.1)."""

_CHUNK_LINES_BYTES = 12
"""Bytes around the data of a chunk that are no extension: up to eight digits, and CR LF twice."""


class HttpProtocol(HttpToolsProtocol):
    """The protocol of a connection: one request at a time, with limits."""

    url = b""
    _arriving = False
    """Whether a request has begun and is not complete."""
    _responding = False
    """Whether a request with a complete head has no complete response yet."""
    _in_head = True
    _head_bytes = 0
    _body_left: int | None = 0
    """Bytes of the body that have not arrived; None for a chunked body."""
    _framing_bytes = 0
    _ended = False
    """Whether a request was not served; what the client still sends is dropped."""
    _problem: Problem | None = None
    """Why the request must not be served; set before a callback stops the parser."""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base has it
        """Start to serve a connection."""
        self._writes = WriteBuffer(transport, on_resume=self._parse)
        super().connection_made(self._writes)
        self._received = ReceivedBytes()
        self.app_state = with_connection_state(self.app_state)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release what belongs to the connection."""
        self._received.clear()
        self._problem = None
        self._clear_deadline()
        self._writes.stop_watching()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    # Parsing.

    def data_received(self, data: bytes) -> None:
        """Parse what is received, or keep it until the request before it has its response."""
        self._unset_keepalive_if_required()
        usual = not self._arriving and data.find(END) + len(END) == len(data)  # one whole head
        if usual and not self._received.left and not self._must_wait():
            self._feed(data)
            if self._responding and not self._arriving:
                return
        else:
            self._received.add(data)
        self._parse()

    def _parse(self) -> None:
        received = self._received
        while received.left and not self._must_wait():
            if self._body_left:
                part = received.part_of_body(self._body_left)
                self._body_left -= len(part)
            else:
                part = received.part_to_empty_line()
            self._feed(part)
        if self._ended or self.transport.is_closing():
            received.clear()
            return
        if received.left:
            self.flow.pause_reading()
        else:
            received.clear()
        if not self._arriving:
            self._expect_request()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self._time_out)

    def _must_wait(self) -> bool:
        """Return whether received bytes wait: for a response, its client, or the application."""
        if self.flow.write_paused or self._ended or self.transport.is_closing():
            return True
        if not self._responding:
            return False
        return not self._arriving or len(self.cycle.body) > HIGH_WATER_LIMIT

    def _feed(self, part: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(part)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._end(Problem("headers_too_large"))
                return
        elif self._body_left is None:
            self._framing_bytes += len(part)
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade:
            if self.parser.get_method() == b"CONNECT":
                self._end(Problem("not_implemented", "This server is no proxy."))
                return
            head = self._head_without_upgrade()
            # A parser drops everything behind a request that closes the connection.
            self.parser = httptools.HttpRequestParser(self)
            self._feed(head)
        except httptools.HttpParserError as error:
            self._end(self._problem or malformed(f"The request is not valid HTTP: {error}."))
        else:
            if self._framing_bytes > MAX_FRAMING_BYTES:
                self._end(_too_much_framing())

    def _head_without_upgrade(self) -> bytes:
        """Return the head that was parsed as a request that offers no other protocol.

        A server may ignore the offer (RFC 9110, section 7.8). The parser would take everything
        behind such a head for the other protocol, also the body.
        """
        self._head_bytes = 0
        line = b"%b %b HTTP/%b\r\n" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        fields = [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        return b"".join((line, *fields, b"\r\n"))

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        """Record that a request has begun."""
        self._arriving = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Add to the request target."""
        self.url += url
        if len(self.url) > MAX_TARGET_BYTES:
            self._problem = Problem("uri_too_long")
            raise self._problem

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header field; a trailer field is dropped.

        A trailer field must not be merged into the header fields unless its definition allows
        that (RFC 9110, section 6.5.1), and no field that GoTicket reads has such a definition.
        """
        if self._in_head:
            self.headers.append((name.lower(), value))
            if len(self.headers) > MAX_HEADER_FIELDS:
                text = f"At most {MAX_HEADER_FIELDS} header fields are accepted."
                self._problem = Problem("headers_too_large", text)
                raise self._problem

    def on_headers_complete(self) -> None:
        """Check the head, and let the application handle the request."""
        if self.parser.should_upgrade():
            return  # parsed again, see `_feed`
        version = self.parser.get_http_version()
        fields = dict(self.headers)
        try:
            body_left = check_head(version, self.headers, fields)
            if not self.url.startswith(b"/"):
                self.url = origin_form(self.parser.get_method(), self.url)
        except Problem as problem:
            self._problem = problem
            raise
        self._in_head = False
        self._body_left = body_left
        self._responding = True
        if b"expect" in fields:  # not from HTTP/1.0 (RFC 9110, section 10.1.1)
            continues = fields[b"expect"].lower() == b"100-continue"
            self.expect_100_continue = continues and version == "1.1"
        super().on_headers_complete()
        if self.expect_100_continue:
            close_unless_continued(self.cycle)

    def on_body(self, body: bytes) -> None:
        """Add to the body.

        The application gets it whole or in pieces of HIGH_WATER_LIMIT. A message of ASGI for
        each byte of a slow client would cost a hundred times the memory.
        """
        cycle = self.cycle
        if self._body_left is None:
            self._framing_bytes -= len(body)
        if not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
                cycle.message_event.set()

    def on_chunk_complete(self) -> None:
        """Count only what a chunk has beyond its size and its data."""
        self._framing_bytes = max(0, self._framing_bytes - _CHUNK_LINES_BYTES)

    def on_message_complete(self) -> None:
        """Record that the request is complete."""
        if self._in_head:
            return  # it offers another protocol, and is parsed again without the offer
        if self._body_left is None:
            if self._framing_bytes > MAX_FRAMING_BYTES:
                self._problem = _too_much_framing()
                raise self._problem
            self._body_left = self._framing_bytes = 0
        self._arriving = False
        self._in_head = True
        self._head_bytes = 0
        if self._deadline is not None:
            self._clear_deadline()
        super().on_message_complete()

    # Responses.

    def on_response_complete(self) -> None:
        """Continue with the next request, which waited meanwhile."""
        self._responding = False
        super().on_response_complete()
        if self._arriving:
            self._unset_keepalive_if_required()

    def _expect_request(self) -> None:
        """Close the connection if no request comes; empty lines are not one."""
        if not self._responding and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _time_out(self) -> None:
        """Close a connection whose request is not complete in time."""
        self._end(Problem("request_timeout"))

    def _end(self, problem: Problem) -> None:
        """Answer the request that arrives with `problem`, unless it has a response, and close.

        First only the sending side is closed (RFC 9112, section 9.6): with unread bytes, the
        kernel would reset the connection, and the client might lose the response.
        """
        self._ended = True
        self._clear_deadline()
        has_begun = not self._in_head and self.cycle.response_started
        if not has_begun:
            self.transport.write(self._response(problem))
        if not self._in_head:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _response(self, problem: Problem) -> bytes:
        fields = self.server_state.default_headers
        if not self._arriving:
            return unserved_response(problem, b"", b"", {}, fields)
        method = self.parser.get_method()
        return unserved_response(problem, method, self.url, dict(self.headers), fields)

    # Slow clients.

    def pause_writing(self) -> None:
        """Wait for the client to read, within a limit."""
        self._writes.watch_reader()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Continue with the response, and with requests that waited for it."""
        self._writes.stop_watching()
        super().resume_writing()
        if self.transport.is_closing():
            self._writes.watch_reader()
        else:
            self.flow.resume_reading()

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _too_much_framing() -> Problem:
    text = f"Trailer fields and chunk extensions have at most {MAX_FRAMING_BYTES} bytes."
    return Problem("headers_too_large", text)
