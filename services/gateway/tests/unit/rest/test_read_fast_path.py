"""The read fast path answers as the FastAPI routes of the same addresses do."""

from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import pytest
from gateway.bootstrap import open_components
from gateway.config import GatewaySettings
from gateway.http.app import Gateway, create_app
from gateway.http.request_metrics import REQUESTS
from gateway.rest.read_fast_path import ReadFastPath
from gateway.rest.read_pacing import ReadPacer
from goticket.booking.v1 import booking_pb2
from goticket.catalog.v1 import catalog_pb2
from goticket_testing.scripted import ScriptedBackends, ScriptedError
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
BOOKING = "0197c0de-7a11-7b00-8a00-0000000000b1"
TICKET = "0197c0de-7a11-7b00-8a00-0000000000c1"
USER = "0197c0de-7a11-7b00-8a00-0000000000d1"
SHOP = "https://shop.goticket.test"
SHARED = "public, max-age=1, stale-while-revalidate=1"

Bearer = Callable[..., dict[str, str]]


@pytest.fixture
async def plain(settings: GatewaySettings) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway without fast paths."""
    async with open_components(settings) as components:
        app = create_app(
            components, max_body_bytes=settings.max_body_bytes, cors_origins=settings.origins
        )
        app.without_fast_paths()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            yield client


@pytest.fixture
def stocked(
    backends: ScriptedBackends,
    event: catalog_pb2.Event,
    left: booking_pb2.EventAvailability,
    booking: booking_pb2.Booking,
    ticket: booking_pb2.Ticket,
) -> ScriptedBackends:
    backends.answers |= {
        "GetEvent": catalog_pb2.GetEventResponse(event=event),
        "ListEvents": catalog_pb2.ListEventsResponse(events=[event], next_cursor="YQ"),
        "GetAvailability": booking_pb2.GetAvailabilityResponse(events=[left]),
        "GetBooking": booking_pb2.GetBookingResponse(booking=booking),
        "GetTicket": booking_pb2.GetTicketResponse(ticket=ticket),
        "ListTickets": booking_pb2.ListTicketsResponse(tickets=[ticket], next_cursor="YQ"),
    }
    return backends


FAST = [
    "/livez",
    "/api/v1/events",
    "/api/v1/events?limit=5&q=rock&sort=-startAt&from=2030-01-01T00:00:00%2B01:00",
    "/api/v1/events?status=cancelled&location=Warsaw&organizerId=" + USER.upper(),
    "/api/v1/events?limit=1&limit=2&unknown=1",
    f"/api/v1/events/{EVENT}",
    f"/api/v1/events/{EVENT.upper()}",
    f"/api/v1/events/{EVENT}/availability",
    f"/api/v1/bookings/{BOOKING}",
    "/api/v1/tickets",
    f"/api/v1/tickets/{TICKET}",
    f"/api/v1/tickets/{TICKET}/qr.svg",
]
LEFT_TO_FASTAPI = [
    "/api/v1/events?limit=0",
    "/api/v1/events?limit=1.0",
    "/api/v1/events?limit=",
    "/api/v1/events?from=yesterday",
    "/api/v1/events?organizerId=me",
    "/api/v1/events?q=%00",
    "/api/v1/events?sort=price",
    "/api/v1/events/none",
    "/api/v1/events/none/availability",
    "/api/v1/bookings/none",
    "/api/v1/tickets?limit=3",
    "/api/v1/tickets/none/qr.svg",
    "/api/v1/nowhere",
]


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize("path", FAST + LEFT_TO_FASTAPI)
@pytest.mark.parametrize("caller", ["nobody", "user", "organizer", "invalid", "basic"])
async def test_both_give_the_same_response(
    client: httpx.AsyncClient, plain: httpx.AsyncClient, bearer: Bearer, path: str, caller: str
) -> None:
    headers = {
        "nobody": {"Origin": SHOP},
        "user": bearer(),
        "organizer": bearer("organizer"),
        "invalid": {"Authorization": "Bearer nonsense"},
        "basic": {"Authorization": "Basic YTpi"},
    }[caller]
    for method in ("GET", "HEAD"):
        responses = [await one.request(method, path, headers=headers) for one in (client, plain)]
        assert _comparable(responses[0]) == _comparable(responses[1])


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize(
    "path", ["/api/v1/events", f"/api/v1/events/{EVENT}", f"/api/v1/events/{EVENT}/availability"]
)
async def test_both_give_the_same_response_to_a_condition(
    client: httpx.AsyncClient, plain: httpx.AsyncClient, bearer: Bearer, path: str
) -> None:
    etag = (await client.get(path)).headers["ETag"]
    for headers in ({}, bearer()):
        for condition in (etag, f"W/{etag}", '"other"', "*", ""):
            given = {**headers, "If-None-Match": condition}
            responses = [await one.get(path, headers=given) for one in (client, plain)]
            assert _comparable(responses[0]) == _comparable(responses[1])
            assert (responses[0].status_code == 304) == (condition not in {'"other"', ""})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GetEvent", f"/api/v1/events/{EVENT}"),
        ("ListEvents", "/api/v1/events"),
        ("GetBooking", f"/api/v1/bookings/{BOOKING}"),
        ("ListTickets", "/api/v1/tickets"),
        ("GetTicket", f"/api/v1/tickets/{TICKET}/qr.svg"),
    ],
)
@pytest.mark.parametrize(
    "rejection",
    [
        ScriptedError(grpc.StatusCode.NOT_FOUND, "event_not_found", "No."),
        ScriptedError(grpc.StatusCode.PERMISSION_DENIED, "forbidden", "No."),
        ScriptedError(grpc.StatusCode.INTERNAL, "internal", "secret"),
    ],
)
async def test_both_return_the_same_problems(
    client: httpx.AsyncClient,
    plain: httpx.AsyncClient,
    bearer: Bearer,
    stocked: ScriptedBackends,
    method: str,
    path: str,
    rejection: ScriptedError,
) -> None:
    stocked.answers[method] = rejection
    responses = [await one.get(path, headers=bearer()) for one in (client, plain)]
    assert responses[0].status_code >= 400
    assert _comparable(responses[0]) == _comparable(responses[1])


def _comparable(response: httpx.Response) -> dict[str, Any]:
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in {"x-request-id", "ratelimit"}
    }
    body: Any = response.content
    if response.headers.get("Content-Type") == "application/problem+json":
        headers.pop("content-length")
        if body:
            body = {name: value for name, value in response.json().items() if name != "requestId"}
    assert response.headers["X-Request-ID"]
    return {"status": response.status_code, "headers": headers, "body": body}


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize("path", FAST)
async def test_a_request_of_the_usual_form_never_reaches_fastapi(
    app: Gateway,
    client: httpx.AsyncClient,
    bearer: Bearer,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    async def unreachable(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(app.request_middleware, "_app", unreachable)
    assert (await client.get(path, headers=bearer())).status_code == 200


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize("path", ["/api/v1/events", f"/api/v1/events/{EVENT}"])
async def test_public_responses_have_an_age_and_others_are_private(
    client: httpx.AsyncClient, bearer: Bearer, path: str
) -> None:
    public = (await client.get(path)).headers
    assert (public["Cache-Control"], public["Age"]) in {(SHARED, "0"), (SHARED, "1")}
    assert public["Vary"] == "Authorization, Origin"
    private = (await client.get(path, headers=bearer())).headers
    assert private["Cache-Control"] == "private, no-cache"
    assert "Age" not in private


@pytest.mark.usefixtures("stocked")
async def test_it_has_metrics_a_request_id_and_a_span_like_any_route(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    spans: InMemorySpanExporter,
) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    headers = bearer() | {
        "X-Request-ID": "req-1",
        "traceparent": f"00-{trace_id}-b7ad6b7169203331-01",
        "tracestate": "vendor=secret",
    }
    await client.get(f"/api/v1/bookings/{BOOKING}", headers=headers)
    sent = backends.metadata["GetBooking"]
    assert (sent["x-request-id"], sent["x-user-id"]) == ("req-1", USER)
    assert sent["traceparent"].split("-")[1] != trace_id
    assert "tracestate" not in sent
    route = "/api/v1/bookings/{booking_id}"
    assert [span for span in spans.get_finished_spans() if span.name == f"GET {route}"]
    labels = [sample.labels for metric in REQUESTS.collect() for sample in metric.samples]
    assert {"method": "GET", "route": route, "status": "200"} in labels


async def test_a_ticket_that_became_void_is_not_drawn_from_the_cache(
    client: httpx.AsyncClient, stocked: ScriptedBackends, bearer: Bearer
) -> None:
    path = f"/api/v1/tickets/{TICKET}/qr.svg"
    assert (await client.get(path, headers=bearer())).status_code == 200
    stocked.answers["GetTicket"] = ScriptedError(grpc.StatusCode.PERMISSION_DENIED, "forbidden")
    assert (await client.get(path, headers=bearer())).status_code == 403


async def test_a_path_that_is_too_long_for_any_route_is_not_cached() -> None:
    nothing: Any = None
    fast_path = ReadFastPath(nothing, nothing, nothing, nothing, ReadPacer(lambda: False))
    for number in range(5):
        exchange: Any = SimpleNamespace(scope={"path": f"/api/v1/{number}{'a' * 200}"})
        assert await fast_path.respond(exchange) is None
    assert fast_path._find.cache_info().currsize == 0
