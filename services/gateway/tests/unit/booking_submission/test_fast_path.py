"""The fast path answers as the FastAPI route of the same address does."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import httpx
import pytest
import structlog
from gateway.booking_submission.batched_submitter import REJECTED
from gateway.bootstrap import open_components
from gateway.config import GatewaySettings
from gateway.http.access_log_writer import AccessLogEntry, AccessLogWriter
from gateway.http.app import Gateway, create_app
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.rpc.errors import RemoteError
from goticket_testing.scripted import ScriptedBackends, ScriptedError
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import INVALID_SPAN_CONTEXT
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
TYPE = "0197c0de-7a11-7b00-8a00-0000000000a1"
USER = "0197c0de-7a11-7b00-8a00-0000000000d1"
URL = f"/api/v1/events/{EVENT}/bookings"
ROUTE = "/api/v1/events/{event_id}/bookings"
SHOP = "https://shop.goticket.test"

Bearer = Callable[..., dict[str, str]]


@pytest.fixture
async def plain(settings: GatewaySettings) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway without fast paths."""
    async with open_components(settings) as parts:
        app = create_app(
            parts, max_body_bytes=settings.max_body_bytes, cors_origins=settings.origins
        )
        app.without_fast_paths()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            yield client


REQUESTS: list[tuple[dict[str, str], Any]] = [
    ({}, {"quantity": 2}),
    ({}, {"quantity": 2, "hold": True, "unknown": 1}),
    ({}, {"items": [{"ticketTypeId": TYPE, "quantity": 1}]}),
    ({"Idempotency-Key": "order-17"}, {"quantity": 2}),
    ({"Idempotency-Key": "two words"}, {"quantity": 2}),
    ({"Idempotency-Key": "x" * 256}, {"quantity": 2}),
    ({"Origin": SHOP}, {"quantity": 2}),
    ({"Origin": "https://elsewhere.test"}, {"quantity": 2}),
    ({"Authorization": "Bearer nonsense"}, {"quantity": 2}),
    ({"Authorization": "Basic YTpi"}, {"quantity": 2}),
    ({"Authorization": ""}, {"quantity": 2}),
    ({"Content-Type": "text/plain"}, {"quantity": 2}),
    ({"Content-Type": "application/vnd.shop+json"}, {"quantity": 2}),
    ({"Content-Type": "application/json; charset=utf-8"}, {"quantity": 2}),
    ({}, {"quantity": 0}),
    ({}, {"quantity": 1.0}),
    ({}, {"quantity": True}),
    ({}, {"quantity": 1, "items": []}),
    ({}, {}),
    ({}, []),
    ({}, b""),
    ({}, b"{"),
    ({}, b"\xff"),
    ({}, b'{"quantity": NaN}'),
    ({}, '{"quantity": 2}'.encode("utf-16")),
    ({}, b'{"quantity": 1, "quantity": 3}'),
    ({}, b'{"items": [{"ticketTypeId": "\\ud800", "quantity": 1}]}'),
    ({}, b"[" * 30_000),
    ({}, b" " * 70_000),
    ({"X-Request-ID": "two words"}, {"quantity": 2}),
]


@pytest.mark.parametrize(("headers", "body"), REQUESTS)
@pytest.mark.parametrize("rejected", [False, True])
async def test_both_give_the_same_response(
    client: httpx.AsyncClient,
    plain: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    booking: pb.Booking,
    headers: dict[str, str],
    body: Any,
    rejected: bool,
) -> None:
    made = pb.CreateBookingResponse(booking=booking, replayed="Idempotency-Key" in headers)
    rejection = ScriptedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "sold_out", "None left.")
    backends.answers["CreateBooking"] = rejection if rejected else made
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    usual = bearer() | {"Content-Type": "application/json"}
    answers = [
        await one.post(URL, content=content, headers=usual | headers) for one in (client, plain)
    ]
    assert _essence(answers[0]) == _essence(answers[1])
    requests = backends.requests.get("CreateBooking", [])
    assert requests[: len(requests) // 2] == requests[len(requests) // 2 :]


def _essence(answer: httpx.Response) -> dict[str, Any]:
    headers = {
        name: "random" if name == "retry-after" else value
        for name, value in answer.headers.items()
        if name not in {"x-request-id", "content-length", "ratelimit"}
    }
    body = {name: value for name, value in answer.json().items() if name != "requestId"}
    assert answer.headers["X-Request-ID"]
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert answer.json().get("requestId", answer.headers["X-Request-ID"])
    return {"status": answer.status_code, "headers": headers, "body": body}


async def test_a_request_of_the_usual_form_never_reaches_fastapi(
    app: Gateway,
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    booking: pb.Booking,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def unreachable(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(app.request_middleware, "_app", unreachable)
    backends.answers["CreateBooking"] = pb.CreateBookingResponse(booking=booking)
    answer = await client.post(
        URL.upper().replace("/API/V1/EVENTS", "/api/v1/events").replace("/BOOKINGS", "/bookings"),
        json={"quantity": 1},
        headers=bearer(),
    )
    assert answer.status_code == 201
    assert backends.request_of("CreateBooking").event_id == EVENT


async def test_it_has_metrics_a_request_id_and_a_span_like_any_route(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    booking: pb.Booking,
    spans: InMemorySpanExporter,
) -> None:
    backends.answers["CreateBooking"] = pb.CreateBookingResponse(booking=booking)
    counted = {"method": "POST", "route": ROUTE, "status": "201"}
    before = REGISTRY.get_sample_value("goticket_http_requests_total", counted) or 0
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    headers = bearer() | {
        "X-Request-ID": "req-1",
        "traceparent": f"00-{trace_id}-b7ad6b7169203331-01",
        "tracestate": "vendor=secret",
    }
    await client.post(URL, json={"quantity": 1}, headers=headers)
    assert REGISTRY.get_sample_value("goticket_http_requests_total", counted) == before + 1
    sent = backends.metadata["CreateBooking"]
    assert (sent["x-request-id"], sent["x-user-id"]) == ("req-1", USER)
    assert sent["traceparent"].split("-")[1] != trace_id
    assert "tracestate" not in sent
    (span,) = [one for one in spans.get_finished_spans() if one.name == f"POST {ROUTE}"]
    assert span.attributes
    assert span.attributes["http.response.status_code"] == 201


async def test_a_full_queue_rejects_before_the_body_is_read(
    app: Gateway,
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reason = {EVENT: "full"}.get
    monkeypatch.setattr(app.state.components.booking_pipeline, "rejection_reason", reason)
    rejected = REJECTED.labels("full")._value.get()
    answer = await client.post(
        URL, content=b"no JSON", headers={"X-Request-ID": "req-2", "Origin": SHOP}
    )
    assert (answer.status_code, answer.json()["error"]) == (503, "busy")
    assert answer.json()["requestId"] == answer.headers["X-Request-ID"] == "req-2"
    assert answer.headers["Retry-After"] in {"1", "2", "3"}
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert "CreateBooking" not in backends.requests
    assert REJECTED.labels("full")._value.get() == rejected + 1
    other = URL.replace("e1/", "e2/")
    assert (await client.post(other, content=b"no JSON", headers=bearer())).status_code != 503


async def test_an_unexpected_error_is_one_500_and_the_process_continues(
    app: Gateway, client: httpx.AsyncClient, bearer: Bearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("internal secret")

    monkeypatch.setattr(app.state.components.booking_pipeline, "submit", broken)
    answer = await client.post(URL, json={"quantity": 1}, headers=bearer())
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    assert "secret" not in answer.text
    assert (await client.get("/health")).status_code == 200


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("a bug"), RemoteError(grpc.StatusCode.INTERNAL, "news", "Unheard of.")],
)
async def test_log_entries_of_a_request_name_it(
    app: Gateway,
    client: httpx.AsyncClient,
    bearer: Bearer,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    async def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(app.state.components.booking_pipeline, "submit", broken)
    headers = {**bearer(), "X-Request-ID": "r-77"}
    with capture_logs([structlog.contextvars.merge_contextvars]) as logged:
        answer = await client.post(URL, json={"quantity": 1}, headers=headers)
    assert answer.status_code == 500
    expected = {"request failed", "remote code is unknown"}
    [entry] = [entry for entry in logged if entry["event"] in expected]
    assert (entry["request_id"], entry["user_id"]) == ("r-77", USER)


async def test_access_log_entries_are_written_in_batches_and_none_is_lost() -> None:
    written: list[str] = []
    log = AccessLogWriter(written.append)
    for number in range(3):
        log.write(_entry(f"r{number}"))
    while not written:
        await asyncio.sleep(0.01)
    log.write(_entry("last"))
    log.close()
    entries = [json.loads(line) for text in written for line in text.splitlines()]
    assert [entry["request_id"] for entry in entries] == ["r0", "r1", "r2", "last"]
    assert len(written) == 2
    assert entries[0] == {
        "event": "request",
        "logger": "gateway.access",
        "level": "info",
        "service": "gateway",
        "timestamp": "2030-01-01T00:00:00.250000Z",
        "method": "POST",
        "route": ROUTE,
        "path": URL,
        "status": 201,
        "duration_ms": 1.5,
        "request_id": "r0",
        "user_id": USER,
        "client_address": "198.51.100.7",
    }


def _entry(request_id: str) -> AccessLogEntry:
    return AccessLogEntry(
        method="POST",
        route=ROUTE,
        path=URL,
        status=201,
        seconds=0.0015,
        request_id=request_id,
        user_id=USER,
        client_address="198.51.100.7",
        span=INVALID_SPAN_CONTEXT,
        at=1893456000.25,
    )
