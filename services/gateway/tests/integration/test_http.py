"""Requests as HTTP/1.1 allows and forbids them (RFC 9110, RFC 9112), over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest
from fastapi import FastAPI
from gateway.http.request_head import MAX_HEADER_FIELDS, MAX_TARGET_BYTES
from gateway.http.server import bind, serve
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.lifecycle import Stop
from goticket_platform.ops import Health
from goticket_testing.messaging import eventually
from goticket_testing.raw_http import DEADLINE, RawClient
from goticket_testing.scripted import ScriptedBackends

EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
BOOKINGS = f"/api/v1/events/{EVENT}/bookings"
BODY = b'{"quantity": 2}'

Bearer = Callable[..., dict[str, str]]


@pytest.fixture
async def connection(app: FastAPI) -> AsyncIterator[RawClient]:
    """A connection to the gateway."""
    bound = bind("127.0.0.1:0", share=False)
    health, stop = Health(), Stop()
    serving = asyncio.create_task(serve(app, bound, health, stop))
    await eventually(lambda: health.ready, seconds=DEADLINE)
    client = RawClient(*await asyncio.open_connection(*bound.getsockname()))
    yield client
    client.writer.close()
    stop.set()
    await serving


GET = b"GET /livez HTTP/1.1\r\nHost: g\r\n"
POST = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: g\r\n"
MALFORMED = (400, "malformed_request")
NOT_IMPLEMENTED = (501, "not_implemented")
TOO_LARGE = (431, "headers_too_large")

REJECTED = {
    # RFC 9112, section 3.2: one valid Host.
    "no host": (b"GET /livez HTTP/1.1\r\n\r\n", MALFORMED),
    "two hosts": (GET + b"Host: h\r\n\r\n", MALFORMED),
    "the same host twice": (GET + b"host: g\r\n\r\n", MALFORMED),
    "two hosts in HTTP/1.0": (b"GET /livez HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", MALFORMED),
    "no host, absolute-form": (b"GET http://g/livez HTTP/1.1\r\n\r\n", MALFORMED),
    # RFC 9112, section 3: the request line.
    "a long target": (b"GET /" + b"x" * MAX_TARGET_BYTES, (414, "uri_too_long")),
    "a long query": (b"GET /?" + b"x" * MAX_TARGET_BYTES, (414, "uri_too_long")),
    "a long method": (b"G" * 1000 + b" / HTTP/1.1\r\n\r\n", MALFORMED),
    "a space in the target": (b"GET /a b HTTP/1.1\r\nHost: g\r\n\r\n", MALFORMED),
    "NUL in the target": (b"GET /a\x00 HTTP/1.1\r\nHost: g\r\n\r\n", MALFORMED),
    "UTF-8 in the target": ("GET /ż HTTP/1.1\r\nHost: g\r\n\r\n".encode(), MALFORMED),
    "asterisk-form of GET": (b"GET * HTTP/1.1\r\nHost: g\r\n\r\n", MALFORMED),
    "another scheme": (b"GET ftp://g/livez HTTP/1.1\r\nHost: g\r\n\r\n", MALFORMED),
    # RFC 9110, section 4.2.4.
    "a password in the target": (b"GET http://a:b@g/ HTTP/1.1\r\nHost: g\r\n\r\n", MALFORMED),
    # RFC 9110, section 9.3.6: an origin server need not implement CONNECT.
    "CONNECT": (b"CONNECT g:443 HTTP/1.1\r\nHost: g\r\n\r\nGET", NOT_IMPLEMENTED),
    "CONNECT to a path": (b"CONNECT /livez HTTP/1.1\r\nHost: g\r\n\r\n", NOT_IMPLEMENTED),
    # RFC 9110, section 15.6.6.
    "HTTP/2.0": (b"GET /livez HTTP/2.0\r\nHost: g\r\n\r\n", (505, "http_version_not_supported")),
    "HTTP/0.9": (b"GET /livez\r\n\r\n", (505, "http_version_not_supported")),
    "HTTP/1.2": (b"GET /livez HTTP/1.2\r\nHost: g\r\n\r\n", MALFORMED),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", MALFORMED),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", MALFORMED),
    # RFC 9112, sections 2.2 and 5; RFC 9110, section 5.5.
    "bare LF": (b"GET /livez HTTP/1.1\nHost: g\n\n", MALFORMED),
    "bare LF after a field": (GET + b"X: a\n\r\n", MALFORMED),
    "bare CR in a field": (GET + b"X: a\rb\r\n\r\n", MALFORMED),
    "NUL in a field": (GET + b"X: a\x00b\r\n\r\n", MALFORMED),
    "a folded field": (GET + b"X: a\r\n b\r\n\r\n", MALFORMED),
    "a space before the colon": (GET + b"X : a\r\n\r\n", MALFORMED),
    # RFC 9110, section 8.6; RFC 9112, sections 6.1 to 6.3 and 7.1.
    "4,400 zeros": (POST + b"Content-Length: " + b"0" * 4_400 + b"2\r\n\r\n{}", MALFORMED),
    "a length of 30 digits": (POST + b"Content-Length: " + b"1" * 30 + b"\r\n\r\n{}", MALFORMED),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n", MALFORMED),
    "a signed length": (POST + b"Content-Length: +2\r\n\r\n{}", MALFORMED),
    "an empty length": (POST + b"Content-Length:\r\n\r\n", MALFORMED),
    "a list of lengths": (POST + b"Content-Length: 2, 2\r\n\r\n{}", MALFORMED),
    "two lengths": (POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", MALFORMED),
    "length and coding": (
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        MALFORMED,
    ),
    "coding and length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        MALFORMED,
    ),
    "coding in HTTP/1.0": (
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        MALFORMED,
    ),
    "gzip, chunked": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", NOT_IMPLEMENTED),
    "gzip": (POST + b"Transfer-Encoding: gzip\r\n\r\n", NOT_IMPLEMENTED),
    "identity": (POST + b"Transfer-Encoding: identity\r\n\r\n", NOT_IMPLEMENTED),
    "chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n", MALFORMED),
    "two coding fields": (
        POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        NOT_IMPLEMENTED,
    ),
    "a chunk that is too long": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
        MALFORMED,
    ),
    # RFC 6585, section 5.
    "too many fields": (GET + b"a:b\r\n" * MAX_HEADER_FIELDS + b"\r\n", TOO_LARGE),
    "a long field": (GET + b"X: " + b"x" * 65_536 + b"\r\n\r\n", TOO_LARGE),
    "long fields": (GET + (b"X: " + b"x" * 1_000 + b"\r\n") * 66 + b"\r\n", TOO_LARGE),
    "long trailer fields": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 4_000 + b"\r\n",
        TOO_LARGE,
    ),
    "a long trailer field": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\na: " + b"x" * 20_000,
        TOO_LARGE,
    ),
    "a long chunk extension": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 20_000,
        TOO_LARGE,
    ),
    "many chunk extensions": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"1;" + b"x" * 50 + b"\r\n \r\n") * 500,
        TOO_LARGE,
    ),
}


@pytest.mark.parametrize("case", REJECTED)
async def test_a_request_that_http_does_not_allow_is_rejected(
    connection: RawClient, case: str
) -> None:
    sent, (status, code) = REJECTED[case]
    await connection.send_bytes(sent)
    await connection.problem(status, code)
    assert await connection.is_closed()


@pytest.mark.parametrize("case", REJECTED)
async def test_a_request_in_pieces_is_rejected_too(connection: RawClient, case: str) -> None:
    sent, (status, code) = REJECTED[case]
    for piece in (sent[:7], sent[7:-3], sent[-3:-1], sent[-1:]):
        await connection.send_bytes(piece)  # an earlier piece may be enough to reject it
        await asyncio.sleep(0)
    await connection.problem(status, code)


@pytest.mark.parametrize(
    "host",
    ["", " ", "a b", "a/b", "u@g", "g:x", "g:80:80", "[::1", "[g]", "%zz", "g\tg", "<g>"],
)
async def test_an_invalid_host_is_rejected(connection: RawClient, host: str) -> None:
    """RFC 9112, section 3.2, and for an empty one RFC 9110, section 4.2.1."""
    await connection.send_bytes(f"GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    await connection.problem(*MALFORMED)


@pytest.mark.parametrize(
    "host", ["g", "g:", "g:80", "127.0.0.1:8080", "[::1]:80", "[v1.a]", "a_b.example", "%67", "g."]
)
async def test_a_valid_host_is_accepted(connection: RawClient, host: str) -> None:
    await connection.send_bytes(f"GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert (await connection.answer())[0] == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /livez HTTP/1.0\r\n\r\n", 200),
        (b"\r\n\r\nGET /livez HTTP/1.1\r\nHost: g\r\n\r\n", 200),
        (b"GET http://g/livez HTTP/1.1\r\nHost: g\r\n\r\n", 200),
        (b"GET HTTPS://other:1/livez?a HTTP/1.1\r\nHost: g\r\n\r\n", 200),
        # An empty path is "/" (RFC 9110, section 4.2.3), where there is nothing.
        (b"GET http://g HTTP/1.1\r\nHost: g\r\n\r\n", 404),
        (b"GET http://g?a=b HTTP/1.1\r\nHost: g\r\n\r\n", 404),
        (b"GET //livez HTTP/1.1\r\nHost: g\r\n\r\n", 404),
        (b"GET /livez%00 HTTP/1.1\r\nHost: g\r\n\r\n", 404),
        (b"GET /%ff%fe HTTP/1.1\r\nHost: g\r\n\r\n", 404),
        (b"GET /%zz HTTP/1.1\r\nHost: g\r\n\r\n", 404),
        (b"GET /api/v1/events/%00 HTTP/1.1\r\nHost: g\r\n\r\n", 404),
        (b"GET /" + b"x" * 8_000 + b" HTTP/1.1\r\nHost: g\r\n\r\n", 404),
        (GET + b"a:b\r\n" * (MAX_HEADER_FIELDS - 1) + b"\r\n", 200),
        (GET + b"X: " + b"x" * 65_400 + b"\r\n\r\n", 200),
        (GET + b"Content-Length: 00\r\n\r\n", 200),
    ],
)
async def test_an_unusual_request_is_answered(
    connection: RawClient, sent: bytes, status: int
) -> None:
    await connection.send_bytes(sent)
    if status == 200:
        assert (await connection.answer())[0] == 200
    else:
        await connection.problem(status, "event_not_found" if b"events" in sent else "not_found")


async def test_the_rejection_of_head_has_no_body(connection: RawClient) -> None:
    """RFC 9110, section 9.3.2."""
    await connection.send_bytes(b"HEAD /livez HTTP/1.1\r\n\r\n")
    received = await asyncio.wait_for(connection.reader.read(), DEADLINE)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.endswith(b"\r\n\r\n")


async def test_a_rejection_has_the_callers_request_id(connection: RawClient) -> None:
    await connection.send_bytes(b"GET /livez HTTP/1.1\r\nX-Request-ID: mine-1\r\n\r\n")
    problem = await connection.problem(*MALFORMED)
    assert (problem["requestId"], problem["instance"]) == ("mine-1", "/livez")


@pytest.fixture
def booked(backends: ScriptedBackends, booking: pb.Booking) -> ScriptedBackends:
    backends.answers["CreateBooking"] = pb.CreateBookingResponse(booking=booking)
    return backends


H2C = "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAA"
OFFERS = {
    "h2c": H2C,
    "h2c in two fields": f"{H2C}\nUpgrade: h2",
    "websocket": "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "TLS": "Connection: upgrade\nUpgrade: TLS/1.0, HTTP/1.1",
    "unknown": "Upgrade: x\nConnection: close-not, upgrade",
}


def booking_head(headers: dict[str, str], *lines: str) -> str:
    """Return the head of a booking with further header fields."""
    fields = [f"{name}: {value}" for name, value in headers.items()]
    usual = ["Host: g", "Content-Type: application/json"]
    return "\n".join([f"POST {BOOKINGS} HTTP/1.1", *usual, *fields, *lines, "", ""])


LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED_BODY = b"3\r\n" + BODY[:3] + b"\r\nc\r\n" + BODY[3:] + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("connection_field", ["close, upgrade", "upgrade, close"])
async def test_an_offer_on_a_connection_that_ends_is_served_as_http(
    connection: RawClient, version: str, connection_field: str
) -> None:
    """RFC 9110, section 7.8; RFC 9112, section 9.6: the connection ends after the response."""
    fields = f"Host: g\r\nUpgrade: h2c\r\nConnection: {connection_field}\r\n\r\n"
    await connection.send_bytes(f"GET /livez HTTP/{version}\r\n{fields}".encode())
    assert (await connection.answer())[0] == 200
    assert await connection.is_closed()


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_offer_of_another_protocol_is_served_as_http(
    connection: RawClient,
    booked: ScriptedBackends,
    bearer: Bearer,
    offer: str,
    later: bool,
    chunked: bool,
) -> None:
    """RFC 9110, section 7.8: `curl --http2` and Java's HttpClient send the first POST so."""
    framing = "Transfer-Encoding: chunked" if chunked else LENGTH
    head = booking_head(bearer(), OFFERS[offer], framing).replace("\n", "\r\n").encode()
    body = CHUNKED_BODY if chunked else BODY
    for _ in range(2):  # the connection can be used again
        await connection.send_bytes(head if later else head + body)
        if later:
            await asyncio.sleep(0)
            await connection.send_bytes(body[:5])
            await asyncio.sleep(0)
            await connection.send_bytes(body[5:])
        assert (await connection.answer())[0] == 201
    await connection.send_bytes((head + body) * 2)  # pipelined
    assert [(await connection.answer())[0] for _ in range(2)] == [201, 201]
    assert len(booked.requests["CreateBooking"]) == 4


async def test_an_offer_that_expects_100_continue_gets_it(
    connection: RawClient, booked: ScriptedBackends, bearer: Bearer
) -> None:
    await connection.send(booking_head(bearer(), H2C, LENGTH, "Expect: 100-continue"))
    async with asyncio.timeout(DEADLINE):
        assert await connection.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await connection.send_bytes(BODY)
    assert (await connection.answer())[0] == 201
    await connection.send("GET /livez HTTP/1.1\nHost: g\n\n")
    assert (await connection.answer())[0] == 200


async def test_an_offer_without_a_body_is_served(connection: RawClient) -> None:
    get = f"GET /livez HTTP/1.1\nHost: g\n{H2C}\n\n"
    await connection.send(get * 3)
    assert [(await connection.answer())[0] for _ in range(3)] == [200, 200, 200]


async def test_a_final_answer_instead_of_100_continue_closes(connection: RawClient) -> None:
    """RFC 9110, section 10.1.1: what follows could be taken for the body."""
    await connection.send(
        f"POST {BOOKINGS} HTTP/1.1\nHost: g\nContent-Length: 99999999\nExpect: 100-continue\n\n"
    )
    async with asyncio.timeout(DEADLINE):
        head = await connection.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in head
    await asyncio.wait_for(connection.reader.read(), DEADLINE)


async def test_http_1_0_gets_no_100_continue(
    connection: RawClient, booked: ScriptedBackends, bearer: Bearer
) -> None:
    """RFC 9110, section 10.1.1."""
    head = booking_head(bearer(), LENGTH, "Expect: 100-continue").replace("HTTP/1.1", "HTTP/1.0")
    await connection.send(head)
    await connection.send_bytes(BODY)
    assert (await connection.answer())[0] == 201


async def test_a_trailer_field_is_no_header_field(
    connection: RawClient, booked: ScriptedBackends, bearer: Bearer
) -> None:
    """RFC 9110, section 6.5.1: a token in a trailer field authenticates no caller."""
    chunked = "Transfer-Encoding: chunked\nTrailer: Authorization, Idempotency-Key"
    trailers = "".join(f"{name}: {value}\r\n" for name, value in bearer().items()).encode()
    body = CHUNKED_BODY.removesuffix(b"\r\n") + trailers + b"Idempotency-Key: trailer\r\n\r\n"
    await connection.send(booking_head({}, chunked))
    await connection.send_bytes(body)
    status, problem = await connection.answer()
    assert (status, json.loads(problem)["error"]) == (401, "unauthenticated")
    await connection.send(booking_head(bearer(), chunked))
    await connection.send_bytes(body)
    assert (await connection.answer())[0] == 201
    assert booked.request_of("CreateBooking").idempotency_key == ""


async def test_a_streamed_list_has_no_chunks_in_http_1_0(
    connection: RawClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    """RFC 9112, section 6.1: no Transfer-Encoding in the response to a request of HTTP/1.0."""
    ticket = pb.CheckInTicket(id="1", status=pb.TICKET_STATUS_VALID, version=1)
    backends.answers |= {
        "GetCheckInVersion": pb.GetCheckInVersionResponse(version=2),
        "ListTicketKeys": pb.ListTicketKeysResponse(),
        "ListCheckInTickets": pb.ListCheckInTicketsResponse(tickets=[ticket]),
    }
    token = bearer("organizer")["Authorization"]
    path = f"/api/v1/events/{EVENT}/check-in-list"
    await connection.send(f"GET {path} HTTP/1.0\nAuthorization: {token}\n\n")
    async with asyncio.timeout(DEADLINE):
        head = (await connection.reader.readuntil(b"\r\n\r\n")).lower()
        body = await connection.reader.read()
    assert b"transfer-encoding" not in head
    assert b"content-length: %d\r\n" % len(body) in head
    assert json.loads(body)["version"] == 2
