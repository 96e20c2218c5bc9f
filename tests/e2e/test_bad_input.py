"""Bad input gets a clear problem of the right status and field, and changes nothing."""

import base64
import json
import time
import uuid
from typing import Any

import httpx
import pytest
from goticket_testing.world import (
    Json,
    People,
    Person,
    book,
    create_event,
    event_body,
    eventually,
    in_days,
)

NOBODYS_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def check_problem(answer: httpx.Response, status: int, code: str, field: str | None = None) -> Json:
    """Check every member that ARCHITECTURE promises of an error."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: Json = answer.json()
    assert problem["error"] == code, problem
    assert problem["status"] == status
    assert problem["success"] is False
    assert problem["message"] == problem["detail"]
    assert problem["requestId"] == answer.headers["x-request-id"]
    assert {"type", "title", "instance"} <= problem.keys()
    if field is not None:
        assert field in [item["field"] for item in problem["errors"]], problem
    leaks = ("Traceback", "SELECT", "asyncpg", "grpc", 'File "')
    assert not any(word in answer.text for word in leaks)
    return problem


@pytest.fixture
async def event(api: httpx.AsyncClient, organizer: Person) -> Json:
    return await create_event(api, organizer, capacity=100)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": 5}, "name"),
        ({"price": -1}, "price"),
        ({"price": "many"}, "price"),
        ({"price": 10**30}, "price"),
        ({"capacity": 0}, "capacity"),
        ({"capacity": 1.5}, "capacity"),
        ({"endAt": in_days(1), "startAt": in_days(2)}, "endAt"),
        ({"startAt": in_days(-2), "endAt": in_days(1)}, "startAt"),
        ({"startAt": "tomorrow"}, "startAt"),
        ({"startAt": "2999-01-01T10:00:00"}, "startAt"),
        ({"currency": "XXZ"}, "currency"),
        ({"timezone": "Europe/Nowhere"}, "timezone"),
        ({"ticketTypes": [{"name": "A", "price": 1, "capacity": 0}]}, "ticketTypes[0].capacity"),
        (
            {"ticketTypes": [{"name": "A", "price": 1, "capacity": 1}] * 51},
            "ticketTypes",
        ),
    ],
)
async def test_an_invalid_event_is_refused_by_field(
    api: httpx.AsyncClient, organizer: Person, changes: dict[str, Any], field: str
) -> None:
    body = json.dumps(event_body(**changes))
    headers = {**organizer.headers, "Content-Type": "application/json"}
    answer = await api.post("/api/v1/events", content=body, headers=headers)
    check_problem(answer, 422, "validation_failed", field)


@pytest.mark.parametrize(
    "name",
    ["Zażółć gęślą jaźń", "🎸 Metallica 🤘", "\U0001d578\U0001d58a\U0001d599", "O'Brien \"; --"],
)
async def test_unusual_names_are_kept_as_they_are(
    api: httpx.AsyncClient, organizer: Person, name: str
) -> None:
    event = await create_event(api, organizer, name=name)
    assert (await api.get(f"/api/v1/events/{event['id']}")).json()["name"] == name


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'"text"', b"\xff\xfe", b'{"quantity": NaN}'])
async def test_malformed_json_is_refused(
    api: httpx.AsyncClient, buyer: Person, event: Json, body: bytes
) -> None:
    answer = await api.post(
        f"/api/v1/events/{event['id']}/bookings",
        content=body,
        headers={**buyer.headers, "Content-Type": "application/json"},
    )
    assert answer.status_code in {400, 422}
    check_problem(answer, answer.status_code, answer.json()["error"])
    await nothing_taken(api, event)


async def nothing_taken(api: httpx.AsyncClient, event: Json) -> None:
    left = (await api.get(f"/api/v1/events/{event['id']}/availability")).json()
    assert left["available"] == event["capacity"]


@pytest.mark.parametrize("quantity", [0, -1, 10**9, 10**30, "two", 1.5, None, True])
async def test_a_wrong_quantity_is_refused(
    api: httpx.AsyncClient, buyer: Person, event: Json, quantity: object
) -> None:
    answer = await book(api, buyer, event["id"], quantity=quantity)
    assert answer.status_code == 422
    check_problem(answer, 422, answer.json()["error"], "quantity")
    await nothing_taken(api, event)


async def test_more_than_one_booking_may_hold_is_refused(
    api: httpx.AsyncClient, buyer: Person, event: Json
) -> None:
    answer = await book(api, buyer, event["id"], quantity=11)
    check_problem(answer, 422, "max_per_booking_exceeded", "quantity")
    await nothing_taken(api, event)


async def test_ticket_types_of_nothing_or_of_another_event_are_refused(
    api: httpx.AsyncClient, organizer: Person, buyer: Person, event: Json
) -> None:
    other = await create_event(api, organizer)
    for unknown in (str(uuid.uuid4()), other["ticketTypes"][0]["id"]):
        items = [{"ticketTypeId": unknown, "quantity": 1}]
        answer = await book(api, buyer, event["id"], items=items)
        check_problem(answer, 422, "unknown_ticket_type", "items[0].ticketTypeId")
    await nothing_taken(api, event)


@pytest.mark.parametrize("identifier", [NOBODYS_ID, "1", "%00", "x" * 500, "..%2f.."])
async def test_unknown_events_are_not_found(
    api: httpx.AsyncClient, buyer: Person, identifier: str
) -> None:
    for answer in (
        await api.get(f"/api/v1/events/{identifier}"),
        await api.get(f"/api/v1/events/{identifier}/availability"),
        await book(api, buyer, identifier),
    ):
        assert answer.status_code == 404
        check_problem(answer, 404, answer.json()["error"])


async def test_unknown_bookings_and_tickets_are_not_found(
    api: httpx.AsyncClient, buyer: Person
) -> None:
    for kind in ("bookings", "tickets"):
        answer = await api.get(f"/api/v1/{kind}/{uuid.uuid4()}", headers=buyer.headers)
        check_problem(answer, 404, f"{kind[:-1]}_not_found")


async def test_a_cancelled_event_takes_no_bookings(
    api: httpx.AsyncClient, organizer: Person, buyer: Person, event: Json
) -> None:
    assert (await book(api, buyer, event["id"])).status_code == 201
    await api.delete(f"/api/v1/events/{event['id']}", headers=organizer.headers)
    check_problem(await book(api, buyer, event["id"]), 409, "event_cancelled")


async def test_a_past_event_takes_no_bookings(
    api: httpx.AsyncClient, organizer: Person, buyer: Person
) -> None:
    event = await create_event(api, organizer, startAt=in_days(1 / 86400), endAt=in_days(2 / 86400))

    async def refused() -> httpx.Response | None:
        answer = await book(api, buyer, event["id"])
        return answer if answer.status_code == 409 else None

    answer = await eventually(refused)
    assert answer.json()["error"] in {"event_started", "event_over"}


def tampered(token: str) -> str:
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["roles"] = ["admin"]
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"{head}.{forged}.{signature}"


async def test_missing_expired_and_tampered_tokens_are_refused(
    api: httpx.AsyncClient, people: People, buyer: Person, event: Json
) -> None:
    path = f"/api/v1/events/{event['id']}/bookings"
    past = int(time.time()) - 3600
    expired = people.person(iat=past - 900, exp=past)
    foreign = people.person(iss="https://elsewhere.example")
    none = jwt_without_signature(buyer.token)
    for headers in (
        {},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": f"Bearer {tampered(buyer.token)}"},
        {"Authorization": f"Bearer {none}"},
        expired.headers,
        foreign.headers,
    ):
        answer = await api.post(path, json={"quantity": 1}, headers=headers)
        check_problem(answer, 401, answer.json()["error"])
        assert answer.headers["www-authenticate"].startswith("Bearer")
    await nothing_taken(api, event)


def jwt_without_signature(token: str) -> str:
    _, payload, _ = token.split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    return f"{head}.{payload}."


async def test_roles_and_ownership_are_kept_apart(
    api: httpx.AsyncClient, people: People, organizer: Person, buyer: Person, event: Json
) -> None:
    refused = await api.post("/api/v1/events", json=event_body(), headers=buyer.headers)
    check_problem(refused, 403, "forbidden")
    stranger = people.person("organizer")
    path = f"/api/v1/events/{event['id']}"
    check_problem(
        await api.patch(path, json={"name": "Mine"}, headers=stranger.headers), 403, "forbidden"
    )
    check_problem(await api.delete(path, headers=stranger.headers), 403, "forbidden")
    booking = (await book(api, buyer, event["id"])).json()
    for method, suffix in (("GET", ""), ("POST", "/cancel"), ("POST", "/confirm")):
        answer = await api.request(
            method, f"/api/v1/bookings/{booking['id']}{suffix}", headers=stranger.headers
        )
        check_problem(answer, 403, "forbidden")
    grant = await api.put(
        f"/api/v1/users/{buyer.id}/roles", json={"roles": ["admin"]}, headers=buyer.headers
    )
    check_problem(grant, 403, "forbidden")


async def test_a_stale_if_match_changes_nothing(
    api: httpx.AsyncClient, organizer: Person, event: Json
) -> None:
    path = f"/api/v1/events/{event['id']}"
    etag = (await api.get(path)).headers["etag"]
    headers = {**organizer.headers, "If-Match": etag}
    first = await api.patch(path, json={"name": "First"}, headers=headers)
    assert (first.status_code, first.json()["name"]) == (200, "First")
    stale = await api.patch(path, json={"name": "Second"}, headers=headers)
    check_problem(stale, 412, "stale_version")
    assert (await api.get(path)).json()["name"] == "First"


async def test_a_key_reused_with_another_body_is_refused(
    api: httpx.AsyncClient, organizer: Person, buyer: Person, event: Json
) -> None:
    assert (await book(api, buyer, event["id"], key="k", quantity=1)).status_code == 201
    again = await book(api, buyer, event["id"], key="k", quantity=2)
    check_problem(again, 422, "idempotency_key_reused")
    other = await create_event(api, organizer)
    elsewhere = await book(api, buyer, other["id"], key="k", quantity=1)
    check_problem(elsewhere, 422, "idempotency_key_reused")


async def test_a_body_of_10_mb_is_refused(
    api: httpx.AsyncClient, organizer: Person, buyer: Person, event: Json
) -> None:
    body = json.dumps(event_body(description="x" * 10_000_000))
    headers = {**organizer.headers, "Content-Type": "application/json"}
    answer = await api.post("/api/v1/events", content=body, headers=headers)
    check_problem(answer, 413, "body_too_large")


async def test_capacity_does_not_shrink_below_what_is_taken(
    api: httpx.AsyncClient, organizer: Person, buyer: Person, event: Json
) -> None:
    assert (await book(api, buyer, event["id"], quantity=5)).status_code == 201
    path = f"/api/v1/events/{event['id']}"
    refused = await api.patch(path, json={"capacity": 4}, headers=organizer.headers)
    check_problem(refused, 409, "capacity_below_taken")
    assert (await api.get(path)).json()["capacity"] == 100
    shrunk = await api.patch(path, json={"capacity": 5}, headers=organizer.headers)
    assert (shrunk.status_code, shrunk.json()["capacity"]) == (200, 5)
    check_problem(await book(api, buyer, event["id"]), 409, "sold_out")


async def test_unknown_routes_and_methods_are_problems_too(api: httpx.AsyncClient) -> None:
    check_problem(await api.get("/api/v1/nothing"), 404, "not_found")
    answer = await api.put("/api/v1/events")
    check_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"]
