"""Every error is a problem document of the right kind."""

from collections.abc import Callable
from typing import Any

import grpc
import httpx
import pytest
from gateway.http.problems import FALLBACKS, KINDS, field_name, from_remote
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket_platform.rpc.errors import RemoteError
from goticket_testing.scripted import ScriptedBackends, ScriptedError

Bearer = Callable[..., dict[str, str]]

EVENTS = "/api/v1/events"
EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"


async def test_a_problem_has_every_member_of_the_contract(client: httpx.AsyncClient) -> None:
    answer = await client.get("/no/such/thing?x=1", headers={"X-Request-ID": "r-1"})
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "https://goticket.example/problems/not_found",
        "title": "Not found",
        "status": 404,
        "detail": "There is nothing at this address.",
        "instance": "/no/such/thing",
        "success": False,
        "message": "There is nothing at this address.",
        "error": "not_found",
        "requestId": "r-1",
        "errors": [],
    }


@pytest.mark.parametrize("path", ["/", "/api/v1/events/", "/API/v1/events", "/🎸", "/%00", "//"])
async def test_an_unknown_address_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", f"{EVENTS}/{'1' * 8}", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("DELETE", EVENTS, {"GET", "HEAD", "POST"}),
        ("TRACE", "/health", {"GET", "HEAD"}),
        ("POST", "/docs", {"GET", "HEAD"}),
        ("PUT", "/openapi.json", {"GET", "HEAD"}),
        ("GET", "/api/v1/auth/login", {"POST"}),
    ],
)
async def test_a_wrong_method_lists_the_allowed_ones(
    client: httpx.AsyncClient, method: str, path: str, allow: set[str]
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == allow


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'a':1}",
        b"nope",
        b'{"a":1}}',
        b"\xff\xfe",
        b"[" * 20_000,
        b"1" * 5000,
        b'{"a":\x00}',
    ],
)
async def test_malformed_json_is_a_malformed_request(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, body: bytes
) -> None:
    headers = bearer("organizer") | {"Content-Type": "application/json"}
    answer = await client.post(EVENTS, content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "malformed_request")
    assert backends.was_not_called("CreateEvent")


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", None]
)
async def test_a_body_of_another_media_type_is_unsupported(
    client: httpx.AsyncClient, bearer: Bearer, kind: str | None
) -> None:
    headers = bearer("organizer") | ({"Content-Type": kind} if kind else {})
    answer = await client.post(EVENTS, content=b'{"name":"A"}', headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/ld+json"])
async def test_every_json_media_type_is_accepted(
    client: httpx.AsyncClient, bearer: Bearer, kind: str
) -> None:
    headers = bearer("organizer") | {"Content-Type": kind}
    answer = await client.post(EVENTS, content=b'{"name":"A"}', headers=headers)
    assert answer.status_code == 422


async def test_a_missing_body_is_named(client: httpx.AsyncClient, bearer: Bearer) -> None:
    answer = await client.post(EVENTS, headers=bearer("organizer"))
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "body", "message": "This field is required."}]


async def test_all_invalid_fields_are_named_together(
    client: httpx.AsyncClient, bearer: Bearer
) -> None:
    body = {"name": 1, "startAt": "x", "capacity": 0, "ticketTypes": [{}]}
    answer = await client.post(EVENTS, json=body, headers=bearer("organizer"))
    assert {item["field"]: item["message"] for item in answer.json()["errors"]} == {
        "name": "Should be text.",
        "startAt": "Must be a date and time with an offset, such as 2027-06-01T19:00:00Z.",
        "endAt": "This field is required.",
        "capacity": "Should be greater than or equal to 1.",
        "ticketTypes[0].name": "This field is required.",
        "ticketTypes[0].price": "This field is required.",
        "ticketTypes[0].capacity": "This field is required.",
    }


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({"description": "x" * 10_001}, "description", "at most 10000 characters"),
        ({"description": "🎸" * 10_001}, "description", "at most 10000 characters"),
        ({"currency": "EU"}, "currency", "at least 3 characters"),
        ({"ticketTypes": [{}] * 51}, "ticketTypes", "at most 50 entries"),
    ],
)
async def test_a_bound_is_in_characters_of_a_text_and_entries_of_a_list(
    client: httpx.AsyncClient, bearer: Bearer, body: dict[str, Any], field: str, message: str
) -> None:
    answer = await client.patch(f"{EVENTS}/{EVENT}", json=body, headers=bearer("organizer"))
    errors = [item for item in answer.json()["errors"] if item["field"] == field]
    assert errors == [{"field": field, "message": f"Should have {message}."}]


async def test_a_bound_of_a_query_parameter_is_in_characters(
    client: httpx.AsyncClient, bearer: Bearer
) -> None:
    answer = await client.get(f"{EVENTS}?q={'x' * 201}")
    assert answer.json()["errors"] == [
        {"field": "q", "message": "Should have at most 200 characters."}
    ]


async def test_a_bound_of_one_is_in_the_singular(client: httpx.AsyncClient, bearer: Bearer) -> None:
    answer = await client.post(f"{EVENTS}/{EVENT}/bookings", json={"items": []}, headers=bearer())
    assert answer.json()["errors"] == [
        {"field": "items", "message": "Should have at least 1 entry."}
    ]


@pytest.mark.parametrize("key", ["", "tab\there", "x" * 256, "two words"])
async def test_every_message_of_the_framework_has_the_same_form(
    client: httpx.AsyncClient, bearer: Bearer, key: str
) -> None:
    headers = bearer() | {"Idempotency-Key": key}
    body = {"items": "all", "hold": 1}
    answer = await client.post(f"{EVENTS}/{EVENT}/bookings", json=body, headers=headers)
    beginnings = [item["message"].split()[0] for item in answer.json()["errors"]]
    assert beginnings == ["Should"] * 3


@pytest.mark.parametrize(
    ("location", "name"),
    [
        (("body",), "body"),
        (("body", "a"), "a"),
        (("body", "a", 0, "b", 1), "a[0].b[1]"),
        (("query", "limit"), "limit"),
        (("body", 0), "[0]"),
    ],
)
def test_fields_are_named_as_in_the_request(location: tuple[Any, ...], name: str) -> None:
    assert field_name(location) == name


def test_every_problem_has_a_status_and_texts() -> None:
    for code, kind in KINDS.items():
        assert code.replace("_", "").isalpha()
        assert 400 <= kind.status <= 505
        assert kind.title[0].isupper()
        assert kind.detail.endswith(".")


@pytest.mark.parametrize(("status", "code"), FALLBACKS.items())
def test_an_unknown_code_falls_back_by_its_status_and_keeps_its_fields(
    status: grpc.StatusCode, code: str
) -> None:
    error = RemoteError(status, "brand_new", "inside", (("name", "is odd"),))
    problem = from_remote(error)
    assert (problem.code, problem.detail) == (code, None)
    assert problem.errors[0].field == "name"


def test_extensions_of_the_contract_are_passed_on_and_no_others() -> None:
    details = {"ticketTypeId": "t", "available": "0", "limit": "x", "taken": "", "host": "db-7"}
    rejected = RemoteError(grpc.StatusCode.RESOURCE_EXHAUSTED, "sold_out", "No.", (), details)
    assert from_remote(rejected).extensions == {"ticketTypeId": "t", "available": 0}
    failed = RemoteError(grpc.StatusCode.INTERNAL, "internal", "No.", (), details)
    assert from_remote(failed).extensions == {}


@pytest.mark.parametrize("status", [grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED])
def test_any_other_failure_is_internal(status: grpc.StatusCode) -> None:
    assert from_remote(RemoteError(status, status.name.lower(), "x")).code == "internal"


async def test_internal_errors_of_a_backend_are_not_exposed(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    backends.answers["ListEvents"] = RuntimeError("SELECT secret FROM inside")
    answer = await client.get(EVENTS)
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    assert "secret" not in answer.text


async def test_messages_of_an_unavailable_backend_are_not_exposed(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    backends.answers["ListEvents"] = ScriptedError(
        grpc.StatusCode.UNAVAILABLE, "unavailable", "10.0.0.7:5432 refused"
    )
    answer = await client.get(EVENTS)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] in {"1", "2", "3"}
    assert "10.0.0.7" not in answer.text


async def test_stack_traces_are_not_exposed(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    # A response that the gateway cannot translate is a bug of the gateway, with the usual 500.
    backends.answers["GetEvent"] = pb.GetEventResponse(
        event=pb.Event(id=EVENT, status=pb.EVENT_STATUS_UNSPECIFIED)
    )
    answer = await client.get(f"{EVENTS}/{EVENT}")
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    assert "Traceback" not in answer.text
    assert "KeyError" not in answer.text
