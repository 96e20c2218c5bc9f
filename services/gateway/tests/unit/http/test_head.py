"""HEAD is GET without the body, wherever there is GET."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from gateway.http.access_log_writer import AccessLogWriter
from gateway.http.client_address import ClientAddresses
from gateway.http.exchange import HttpExchange
from gateway.http.middleware import RequestMiddleware
from gateway.http.request_metrics import REQUESTS
from goticket.booking.v1 import booking_pb2
from goticket.catalog.v1 import catalog_pb2
from goticket_testing.scripted import ScriptedBackends
from starlette.responses import PlainTextResponse
from starlette.types import Message, Scope

TICKET = "0197c0de-7a11-7b00-8a00-0000000000c1"
EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
VARYING = {"x-request-id", "content-length", "ratelimit"}
"""Headers that two answers need not share: a PDF of another second may differ in length."""

Bearer = Callable[..., dict[str, str]]


class Unlimited:
    """Admits every request."""

    def check_address(self, exchange: HttpExchange) -> None:
        """Admit a request."""

    async def charge(self, exchange: HttpExchange) -> None:
        """Charge nothing."""


@pytest.fixture
def shown(
    backends: ScriptedBackends, event: catalog_pb2.Event, ticket: booking_pb2.Ticket
) -> ScriptedBackends:
    backends.answers |= {
        "GetEvent": catalog_pb2.GetEventResponse(event=event),
        "ListEvents": catalog_pb2.ListEventsResponse(events=[event]),
        "GetTicket": booking_pb2.GetTicketResponse(ticket=ticket),
        "ListTickets": booking_pb2.ListTicketsResponse(tickets=[ticket]),
    }
    return backends


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/health", 200),
        ("/health/db", 200),
        ("/livez", 200),
        ("/readyz", 200),
        ("/openapi.json", 200),
        ("/docs", 200),
        ("/docs/docs.js", 200),
        ("/.well-known/jwks.json", 200),
        ("/api/v1/events", 200),
        (f"/api/v1/events/{EVENT}", 200),
        (f"/api/v1/events/{EVENT}/availability", 200),
        ("/api/v1/tickets", 200),
        (f"/api/v1/tickets/{TICKET}/qr.svg", 200),
        (f"/api/v1/tickets/{TICKET}/ticket.pdf", 200),
        ("/nowhere", 404),
        ("/api/v1/tickets/nobody", 404),
        ("/api/v1/users", 403),
        ("/api/v1/auth/login", 405),
    ],
)
@pytest.mark.usefixtures("shown")
async def test_head_has_the_status_and_headers_of_get(
    client: httpx.AsyncClient, bearer: Bearer, path: str, status: int
) -> None:
    get = await client.get(path, headers=bearer())
    head = await client.head(path, headers=bearer())
    assert (head.status_code, get.status_code) == (status, status)
    assert int(head.headers["Content-Length"]) > 0
    assert _lasting(head) == _lasting(get)


def _lasting(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in VARYING}


@pytest.mark.parametrize("url", ["/api/v1/events", f"/api/v1/events/{EVENT}"])
@pytest.mark.usefixtures("shown")
async def test_a_cached_response_is_not_modified(client: httpx.AsyncClient, url: str) -> None:
    etag = (await client.head(url)).headers["ETag"]
    assert (await client.head(url, headers={"If-None-Match": etag})).status_code == 304


async def test_no_body_is_sent_to_the_server() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def hello(scope: Scope, receive: Any, send: Any) -> None:
        assert scope["method"] == "GET"
        await PlainTextResponse("hello")(scope, receive, send)

    scope = {"type": "http", "method": "HEAD", "path": "/", "headers": []}
    access_log = AccessLogWriter(lambda _text: None)
    middleware = RequestMiddleware(
        hello,
        (),
        access_log,
        Unlimited(),
        addresses=ClientAddresses(()),
        cors_origins=(),
        max_body_bytes=1,
        max_in_flight=1,
    )
    await middleware(scope, receive, send)
    access_log.close()
    assert [message.get("body", b"") for message in sent] == [b"", b""]
    assert (b"content-length", b"5") in sent[0]["headers"]
    assert scope["method"] == "HEAD"


async def test_head_is_counted_as_head_of_its_route(client: httpx.AsyncClient) -> None:
    await client.head("/api/v1/events/none/availability")
    labels = [sample.labels for metric in REQUESTS.collect() for sample in metric.samples]
    route = "/api/v1/events/{event_id}/availability"
    assert {"method": "HEAD", "route": route, "status": "404"} in labels


def test_the_document_does_not_list_head(app: FastAPI) -> None:
    methods = {method for item in app.openapi()["paths"].values() for method in item}
    assert "head" not in methods
    assert re.search(r"\bHEAD\b", app.openapi()["info"]["description"])
