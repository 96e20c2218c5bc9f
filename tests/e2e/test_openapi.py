"""Schemathesis reads the OpenAPI document and throws what it allows, and what it forbids, at us."""

from typing import Any

import httpx
import pytest
import schemathesis
from goticket_testing.stack import RunningStack
from goticket_testing.world import People, Person, event_body
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 25


@pytest.fixture(scope="session")
def openapi(stack: RunningStack) -> schemathesis.schemas.BaseSchema:
    return schemathesis.openapi.from_url(f"{stack.base_url}/openapi.json")


@pytest.fixture(scope="session")
def administrator(people: People) -> Person:
    return people.person("admin", "organizer")


@pytest.fixture(scope="session")
def known(stack: RunningStack, administrator: Person) -> dict[str, str]:
    """Ids that exist, by the name of the path parameter that takes them."""
    with httpx.Client(base_url=stack.base_url, headers=administrator.headers) as client:
        event = client.post("/api/v1/events", json=event_body()).json()
        path = f"/api/v1/events/{event['id']}/bookings"
        booking = client.post(path, json={"quantity": 1}).json()
    return {
        "event_id": event["id"],
        "booking_id": booking["id"],
        "ticket_id": booking["tickets"][0]["id"],
    }


schema = schemathesis.pytest.from_fixture("openapi")


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_no_answer_is_undocumented_or_a_failure_of_ours(
    case: "schemathesis.Case[Any]", administrator: Person
) -> None:
    case.call_and_validate(headers=administrator.headers, checks=CHECKS)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_nor_is_one_about_things_that_exist(
    case: "schemathesis.Case[Any]", administrator: Person, known: dict[str, str]
) -> None:
    names = set(case.path_parameters or {})
    for name in names & set(known):
        case.path_parameters[name] = known[name]
    case.call_and_validate(headers=administrator.headers, checks=CHECKS)
