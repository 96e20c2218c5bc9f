"""No route accepts an encoded body (RFC 9110, sections 8.4 and 15.5.16)."""

import gzip
import re
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from gateway.http.app import Gateway
from goticket.booking.v1 import booking_pb2
from goticket_testing.scripted import ScriptedBackends

EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
BODY = b'{"quantity": 2}'
Bearer = Callable[..., dict[str, str]]


def check_rejected(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["error"]) == (415, "unsupported_media_type")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Accept-Encoding"] == "identity"  # RFC 9110, section 12.5.3
    assert answer.json()["requestId"] == answer.headers["X-Request-ID"]


async def test_every_route_with_a_body_rejects_an_encoded_one(
    client: httpx.AsyncClient, app: Gateway, backends: ScriptedBackends, bearer: Bearer
) -> None:
    routes = [
        (method, re.sub(r"\{\w+\}", EVENT, path))
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
        if "requestBody" in operation
    ]
    assert ("post", f"/api/v1/events/{EVENT}/bookings") in routes
    assert len(routes) > 5
    for method, path in routes:
        headers = bearer("organizer", "admin") | {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        }
        check_rejected(
            await client.request(method, path, content=gzip.compress(BODY), headers=headers)
        )
    assert backends.was_not_called()


@pytest.mark.parametrize("without_fast_paths", [False, True])
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "br", "zstd", "GZIP", "gzip, identity"])
async def test_plain_json_that_is_labelled_as_encoded_is_rejected(
    client: httpx.AsyncClient,
    app: Gateway,
    backends: ScriptedBackends,
    bearer: Bearer,
    coding: str,
    without_fast_paths: bool,
) -> None:
    if without_fast_paths:
        app.without_fast_paths()
    headers = bearer() | {"Content-Type": "application/json", "Content-Encoding": coding}
    path = f"/api/v1/events/{EVENT}/bookings"
    check_rejected(await client.post(path, content=BODY, headers=headers))
    assert backends.was_not_called()


async def test_a_repeated_field_and_a_chunked_body_are_rejected(
    client: httpx.AsyncClient, bearer: Bearer
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield BODY

    usual = [*bearer().items(), ("Content-Type", "application/json")]
    codings = [("Content-Encoding", "gzip"), ("Content-Encoding", "identity")]
    path = f"/api/v1/events/{EVENT}/bookings"
    check_rejected(await client.post(path, content=body(), headers=[*usual, *codings]))


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
async def test_a_body_that_is_not_encoded_is_accepted(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    booking: booking_pb2.Booking,
    coding: str,
) -> None:
    backends.answers["CreateBooking"] = booking_pb2.CreateBookingResponse(booking=booking)
    headers = bearer() | {"Content-Type": "application/json", "Content-Encoding": coding}
    path = f"/api/v1/events/{EVENT}/bookings"
    assert (await client.post(path, content=BODY, headers=headers)).status_code == 201


async def test_a_request_without_a_body_has_nothing_to_decode(client: httpx.AsyncClient) -> None:
    headers = {"Content-Encoding": "gzip"}
    assert (await client.get("/livez", headers=headers)).status_code == 200
