"""The document of the API: complete, valid and correct."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from fastapi import FastAPI
from gateway.http.problems import EXTENSIONS, KINDS


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def test_the_document_is_valid_and_covers_the_whole_contract(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(document).validate()
    assert {name for name, _ in operations(document)} == {
        "POST /api/v1/auth/register",
        "POST /api/v1/auth/login",
        "POST /api/v1/auth/refresh",
        "POST /api/v1/auth/logout",
        "GET /api/v1/users",
        "GET /api/v1/users/me",
        "PUT /api/v1/users/{user_id}/roles",
        "GET /api/v1/events",
        "POST /api/v1/events",
        "GET /api/v1/events/{event_id}",
        "PUT /api/v1/events/{event_id}",
        "PATCH /api/v1/events/{event_id}",
        "DELETE /api/v1/events/{event_id}",
        "GET /api/v1/events/{event_id}/availability",
        "POST /api/v1/events/{event_id}/bookings",
        "GET /api/v1/events/{event_id}/bookings",
        "GET /api/v1/events/{event_id}/check-in-list",
        "GET /api/v1/bookings",
        "GET /api/v1/bookings/{booking_id}",
        "POST /api/v1/bookings/{booking_id}/confirm",
        "POST /api/v1/bookings/{booking_id}/extend",
        "POST /api/v1/bookings/{booking_id}/cancel",
        "GET /api/v1/tickets",
        "GET /api/v1/tickets/{ticket_id}",
        "GET /api/v1/tickets/{ticket_id}/qr.svg",
        "GET /api/v1/tickets/{ticket_id}/ticket.pdf",
        "GET /.well-known/jwks.json",
        "GET /.well-known/ticket-keys.json",
        "GET /health",
        "GET /health/db",
        "GET /livez",
        "GET /readyz",
    }


def test_every_operation_has_a_name_a_tag_and_texts(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= tags, name
        assert operation["operationId"].isidentifier(), name


def test_every_operation_documents_its_problems(document: dict[str, Any]) -> None:
    problem = {"$ref": "#/components/schemas/Problem"}
    for name, operation in operations(document):
        answers = operation["responses"]
        for status, answer in answers.items():
            if status >= "400":
                (kind,) = answer["content"]
                assert kind == "application/problem+json", (name, status)
                assert answer["content"][kind]["schema"] == problem
                for code, example in answer["content"][kind]["examples"].items():
                    assert example["value"]["status"] == int(status) == KINDS[code].status
        if "/api/" in name:
            assert {"500", "503"} <= answers.keys(), name
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= answers.keys(), name
        if any(one["in"] != "path" for one in operation.get("parameters", ())):
            assert "422" in answers, name
        if "security" in operation:
            assert "401" in answers, name
        if "{" in name:
            assert "404" in answers, name


@pytest.mark.parametrize(
    "path",
    ["/api/v1/events", "/api/v1/events/{event_id}", "/api/v1/events/{event_id}/availability"],
)
def test_public_reads_document_their_condition_and_caching(
    document: dict[str, Any], path: str
) -> None:
    read = document["paths"][path]["get"]
    assert "If-None-Match" in {one["name"] for one in read["parameters"]}
    for status in ("200", "304"):
        assert {"ETag", "Cache-Control", "Age"} == read["responses"][status]["headers"].keys()
    assert "content" not in read["responses"]["304"]
    assert "$ref" in read["responses"]["200"]["content"]["application/json"]["schema"]


def test_operations_that_need_a_token_document_it(document: dict[str, Any]) -> None:
    public = {name for name, one in operations(document) if {} in one.get("security", [{}])}
    assert {name for name in public if "/api/" in name} == {
        "POST /api/v1/auth/register",
        "POST /api/v1/auth/login",
        "POST /api/v1/auth/refresh",
        "POST /api/v1/auth/logout",
        "GET /api/v1/events",
        "GET /api/v1/events/{event_id}",
        "GET /api/v1/events/{event_id}/availability",
    }
    scheme = document["components"]["securitySchemes"]["bearer"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_examples_of_problems_fit_their_schema(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert "HTTPValidationError" not in schemas
    root = {"$ref": "#/components/schemas/Problem", "components": document["components"]}
    validator = jsonschema_rs.Draft202012Validator(root)
    for _, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status >= "400":
                for example in answer["content"]["application/problem+json"]["examples"].values():
                    validator.validate(example["value"])


def test_extensions_of_a_problem_are_documented_as_optional(document: dict[str, Any]) -> None:
    problem = document["components"]["schemas"]["Problem"]
    assert EXTENSIONS.keys() <= problem["properties"].keys()
    assert not EXTENSIONS.keys() & set(problem["required"])
    assert not any("default" in problem["properties"][name] for name in EXTENSIONS)
    booked = document["paths"]["/api/v1/events/{event_id}/bookings"]["post"]["responses"]["409"]
    sold_out = booked["content"]["application/problem+json"]["examples"]["sold_out"]["value"]
    assert EXTENSIONS.keys() & sold_out.keys() == {"ticketTypeId", "available"}


def test_writes_have_examples_in_their_schemas(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in ("EventIn", "BookingIn", "Registration", "Credentials", "RolesChange"):
        fields = schemas[name]["properties"].values()
        assert any("examples" in field for field in fields), name
