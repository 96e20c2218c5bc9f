"""Rules that hold for every request."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from gateway.http.access_log_writer import AccessLogEntry
from gateway.http.app import Gateway
from gateway.http.request_metrics import REQUESTS
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket.identity.v1 import identity_pb2
from goticket_testing.scripted import ScriptedBackends
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY
from starlette.responses import Response, StreamingResponse

Bearer = Callable[..., dict[str, str]]

EVENTS = "/api/v1/events"
LIMIT = 65536


@pytest.fixture
def entries() -> Iterator[list[dict[str, Any]]]:
    """The log entries of the test, context included."""
    capture = structlog.testing.LogCapture()
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, capture],
        cache_logger_on_first_use=False,
    )
    yield capture.entries  # type: ignore[misc]  # mutable mappings, dictionaries all
    structlog.configure(**before)


@pytest.fixture
def access_log(app: Gateway, monkeypatch: pytest.MonkeyPatch) -> list[AccessLogEntry]:
    """The access log entries of the test."""
    written: list[AccessLogEntry] = []
    monkeypatch.setattr(app.state.components.access_log, "write", written.append)
    return written


@pytest.fixture
def exploding(app: FastAPI) -> FastAPI:
    async def explode() -> None:
        raise RuntimeError("internal secret")

    async def explode_late() -> Response:
        async def halves() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError("too late")

        return StreamingResponse(halves())

    app.add_api_route("/explode/{number}", explode)
    app.add_api_route("/explode-late", explode_late)
    return app


async def test_an_unexpected_error_is_one_logged_500_and_the_process_continues(
    exploding: FastAPI,
    client: httpx.AsyncClient,
    entries: list[dict[str, Any]],
    access_log: list[AccessLogEntry],
) -> None:
    counted = {"method": "GET", "route": "/explode/{number}", "status": "500"}
    before = REGISTRY.get_sample_value("goticket_http_requests_total", counted) or 0
    answer = await client.get("/explode/7", headers={"X-Request-ID": "req-1"})
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-ID"] == "req-1"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.json()["error"] == "internal"
    assert answer.json()["requestId"] == "req-1"
    assert "secret" not in answer.text
    (failure,) = [each for each in entries if each["event"] == "request failed"]
    (entry,) = access_log
    assert failure["request_id"] == "req-1"
    assert (entry.status, entry.request_id) == (500, "req-1")
    assert (entry.route, entry.path) == ("/explode/{number}", "/explode/7")
    assert entry.seconds >= 0
    assert REGISTRY.get_sample_value("goticket_http_requests_total", counted) == before + 1
    assert (await client.get("/health")).status_code == 200


async def test_a_response_that_fails_half_way_is_incomplete_for_the_client(
    exploding: FastAPI, entries: list[dict[str, Any]], access_log: list[AccessLogEntry]
) -> None:
    transport = httpx.ASGITransport(exploding)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        with pytest.raises(RuntimeError):
            await client.get("/explode-late")
    assert [entry["event"] for entry in entries].count("request failed") == 1
    assert [entry.status for entry in access_log] == [200]


async def test_a_valid_request_id_is_kept_and_sent_to_the_backends(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    backends.answers["ListEvents"] = pb.ListEventsResponse()
    answer = await client.get(EVENTS, headers=bearer() | {"X-Request-ID": "mine-7"})
    assert answer.headers["X-Request-ID"] == "mine-7"
    assert backends.metadata["ListEvents"]["x-request-id"] == "mine-7"
    assert backends.metadata["ListEvents"]["x-user-id"].endswith("d1")


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "ümlaut", "tab\there"])
async def test_an_invalid_request_id_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    headers = {b"X-Request-ID": given.encode("latin-1")}
    first = (await client.get("/health", headers=headers)).headers["X-Request-ID"]
    second = (await client.get("/health", headers=headers)).headers["X-Request-ID"]
    assert first not in {given, second}
    assert len(first) == 36


async def test_requests_at_the_same_time_keep_their_own_ids(client: httpx.AsyncClient) -> None:
    async def get(name: str) -> str:
        answer = await client.get("/nowhere", headers={"X-Request-ID": name})
        found: str = answer.json()["requestId"]
        return found

    names = [f"r{number}" for number in range(20)]
    assert await asyncio.gather(*map(get, names)) == names


async def test_routes_are_counted_by_template_and_unknown_ones_together(
    client: httpx.AsyncClient,
) -> None:
    for number in range(3):
        await client.get(f"/{number}")
        await client.request(f"VERB{number}", "/health")
        await client.get(f"/api/v1/events/{number}")
    labels = {tuple(sorted(s.labels.items())) for m in REQUESTS.collect() for s in m.samples}
    routes = {dict(label)["route"] for label in labels}
    methods = {dict(label)["method"] for label in labels}
    assert {"unmatched", "/api/v1/events/{event_id}"} <= routes
    assert not routes & {"/0", "/api/v1/events/0"}
    assert "OTHER" in methods
    assert "VERB0" not in methods


async def test_the_query_string_stays_out_of_the_log(
    client: httpx.AsyncClient, entries: list[dict[str, Any]], access_log: list[AccessLogEntry]
) -> None:
    await client.get("/api/v1/users?email=ada%40goticket.test")
    assert "ada" not in json.dumps(entries)
    assert [entry.path for entry in access_log] == ["/api/v1/users"]


async def test_a_body_over_the_limit_is_rejected_by_its_content_length(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    answer = await client.post(EVENTS, content=b"x" * 10_000_000, headers=bearer("organizer"))
    assert answer.status_code == 413
    assert answer.json()["error"] == "body_too_large"
    assert str(LIMIT) in answer.json()["detail"]
    assert backends.was_not_called("CreateEvent")


async def test_a_body_over_the_limit_is_rejected_when_it_arrives_in_pieces(
    client: httpx.AsyncClient, bearer: Bearer
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    headers = bearer("organizer") | {"Content-Type": "application/json"}
    answer = await client.post(EVENTS, content=pieces(), headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large")


@pytest.mark.parametrize("spare", [0, 1])
async def test_the_limit_itself_is_allowed(
    client: httpx.AsyncClient, bearer: Bearer, spare: int
) -> None:
    body = b'{"name":"' + b"x" * (LIMIT + spare - 11) + b'"}'
    headers = bearer("organizer") | {"Content-Type": "application/json"}
    answer = await client.post(EVENTS, content=body, headers=headers)
    assert answer.status_code == (413 if spare else 422)


async def test_allowed_origins_may_read_answers(client: httpx.AsyncClient) -> None:
    headers = {"Origin": "https://shop.goticket.test"}
    answer = await client.get("/health", headers=headers)
    assert answer.headers["Access-Control-Allow-Origin"] == headers["Origin"]
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
    answer = await client.get("/health", headers={"Origin": "https://evil.test"})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    ("origin", "allowed"), [("https://shop.goticket.test", True), ("https://evil.test", False)]
)
async def test_a_preflight_lists_what_is_allowed(
    client: httpx.AsyncClient, origin: str, allowed: bool
) -> None:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "idempotency-key",
    }
    answer = await client.options(EVENTS, headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert ("Access-Control-Allow-Origin" in answer.headers) is allowed


async def test_answers_of_the_api_are_not_cached_framed_or_sniffed(
    client: httpx.AsyncClient,
) -> None:
    headers = (await client.get("/health")).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "server" not in headers


CALLER_TRACE, CALLER_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("flags", ["00", "01"])
async def test_a_request_starts_a_trace_of_its_own_that_links_to_the_callers(
    client: httpx.AsyncClient, backends: ScriptedBackends, spans: InMemorySpanExporter, flags: str
) -> None:
    """W3C Trace Context, section 6: a caller outside could force or prevent recording."""
    backends.answers["ListEvents"] = pb.ListEventsResponse()
    headers = {
        "traceparent": f"00-{CALLER_TRACE}-{CALLER_SPAN}-{flags}",
        "tracestate": "vendor=secret",
        "baggage": "user=ada@goticket.test",
    }
    await client.get(f"{EVENTS}?q=rock", headers=headers)
    sent = backends.metadata["ListEvents"]
    assert {"tracestate", "baggage"}.isdisjoint(sent)
    (server,) = [span for span in spans.get_finished_spans() if span.name == f"GET {EVENTS}"]
    assert server.parent is None
    assert server.context is not None
    own_trace = format(server.context.trace_id, "032x")
    assert own_trace != CALLER_TRACE
    assert sent["traceparent"].split("-")[1] == own_trace
    assert int(sent["traceparent"][-2:], 16) & 1  # sampled
    (link,) = server.links
    assert format(link.context.trace_id, "032x") == CALLER_TRACE
    assert format(link.context.span_id, "016x") == CALLER_SPAN
    assert len(link.context.trace_state) == 0
    assert server.attributes is not None
    assert server.attributes["http.route"] == EVENTS


@pytest.mark.parametrize("value", ["", "nonsense", f"00-{'0' * 32}-{CALLER_SPAN}-01", "\xff"])
async def test_an_invalid_trace_context_is_ignored(
    client: httpx.AsyncClient, spans: InMemorySpanExporter, value: str
) -> None:
    assert (
        await client.get("/health", headers=[(b"traceparent", value.encode("latin-1"))])
    ).is_success
    (server,) = [span for span in spans.get_finished_spans() if span.name == "GET /health"]
    assert (server.parent, tuple(server.links)) == (None, ())


async def test_the_trace_contains_no_email_address(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    spans: InMemorySpanExporter,
) -> None:
    backends.answers["FindUser"] = identity_pb2.FindUserResponse()
    await client.get("/api/v1/users?email=ada%40goticket.test", headers=bearer("admin"))
    seen = [str(dict(span.attributes or {})) for span in spans.get_finished_spans()]
    assert any("/api/v1/users" in text for text in seen)
    assert not any("ada" in text for text in seen)
