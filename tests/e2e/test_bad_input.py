"""Invalid requests get a problem with the right status and field, and change nothing."""

import base64
import json
import time
import uuid
from typing import Any

import httpx
import pytest
from goticket_testing.clients import (
    ApiUser,
    ApiUserFactory,
    Json,
    create_booking,
    create_event,
    event_body,
    eventually,
    in_days,
)

UNKNOWN_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def check_problem(
    response: httpx.Response, status: int, code: str, field: str | None = None
) -> Json:
    """Check every member of an RFC 9457 problem and of GoTicket's extensions."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: Json = response.json()
    assert problem["error"] == code, problem
    assert problem["status"] == status
    assert problem["success"] is False
    assert problem["message"] == problem["detail"]
    assert problem["requestId"] == response.headers["x-request-id"]
    assert {"type", "title", "instance"} <= problem.keys()
    if field is not None:
        assert field in [item["field"] for item in problem["errors"]], problem
    leaks = ("Traceback", "SELECT", "asyncpg", "grpc", 'File "')
    assert not any(word in response.text for word in leaks)
    return problem


@pytest.fixture
async def event(api: httpx.AsyncClient, organizer: ApiUser) -> Json:
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
async def test_an_invalid_event_is_rejected_with_its_field(
    api: httpx.AsyncClient, organizer: ApiUser, changes: dict[str, Any], field: str
) -> None:
    body = json.dumps(event_body(**changes))
    headers = {**organizer.headers, "Content-Type": "application/json"}
    response = await api.post("/api/v1/events", content=body, headers=headers)
    check_problem(response, 422, "validation_failed", field)


@pytest.mark.parametrize(
    "name",
    ["Zażółć gęślą jaźń", "🎸 Metallica 🤘", "\U0001d578\U0001d58a\U0001d599", "O'Brien \"; --"],
)
async def test_unusual_names_are_stored_unchanged(
    api: httpx.AsyncClient, organizer: ApiUser, name: str
) -> None:
    event = await create_event(api, organizer, name=name)
    assert (await api.get(f"/api/v1/events/{event['id']}")).json()["name"] == name


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'"text"', b"\xff\xfe", b'{"quantity": NaN}'])
async def test_malformed_json_is_rejected(
    api: httpx.AsyncClient, buyer: ApiUser, event: Json, body: bytes
) -> None:
    response = await api.post(
        f"/api/v1/events/{event['id']}/bookings",
        content=body,
        headers={**buyer.headers, "Content-Type": "application/json"},
    )
    assert response.status_code in {400, 422}
    check_problem(response, response.status_code, response.json()["error"])
    await check_nothing_booked(api, event)


async def check_nothing_booked(api: httpx.AsyncClient, event: Json) -> None:
    availability = (await api.get(f"/api/v1/events/{event['id']}/availability")).json()
    assert availability["available"] == event["capacity"]


@pytest.mark.parametrize("quantity", [0, -1, 10**9, 10**30, "two", 1.5, None, True])
async def test_an_invalid_quantity_is_rejected(
    api: httpx.AsyncClient, buyer: ApiUser, event: Json, quantity: object
) -> None:
    response = await create_booking(api, buyer, event["id"], quantity=quantity)
    assert response.status_code == 422
    check_problem(response, 422, response.json()["error"], "quantity")
    await check_nothing_booked(api, event)


async def test_a_quantity_above_the_limit_per_booking_is_rejected(
    api: httpx.AsyncClient, buyer: ApiUser, event: Json
) -> None:
    response = await create_booking(api, buyer, event["id"], quantity=11)
    check_problem(response, 422, "max_per_booking_exceeded", "quantity")
    await check_nothing_booked(api, event)


async def test_unknown_ticket_types_and_those_of_another_event_are_rejected(
    api: httpx.AsyncClient, organizer: ApiUser, buyer: ApiUser, event: Json
) -> None:
    other = await create_event(api, organizer)
    for unknown in (str(uuid.uuid4()), other["ticketTypes"][0]["id"]):
        items = [{"ticketTypeId": unknown, "quantity": 1}]
        response = await create_booking(api, buyer, event["id"], items=items)
        check_problem(response, 422, "unknown_ticket_type", "items[0].ticketTypeId")
    await check_nothing_booked(api, event)


@pytest.mark.parametrize("identifier", [UNKNOWN_ID, "1", "%00", "x" * 500, "..%2f.."])
async def test_unknown_events_are_not_found(
    api: httpx.AsyncClient, buyer: ApiUser, identifier: str
) -> None:
    for response in (
        await api.get(f"/api/v1/events/{identifier}"),
        await api.get(f"/api/v1/events/{identifier}/availability"),
        await create_booking(api, buyer, identifier),
    ):
        assert response.status_code == 404
        check_problem(response, 404, response.json()["error"])


async def test_unknown_bookings_and_tickets_are_not_found(
    api: httpx.AsyncClient, buyer: ApiUser
) -> None:
    for kind in ("bookings", "tickets"):
        response = await api.get(f"/api/v1/{kind}/{uuid.uuid4()}", headers=buyer.headers)
        check_problem(response, 404, f"{kind[:-1]}_not_found")


async def test_a_cancelled_event_accepts_no_bookings(
    api: httpx.AsyncClient, organizer: ApiUser, buyer: ApiUser, event: Json
) -> None:
    assert (await create_booking(api, buyer, event["id"])).status_code == 201
    await api.delete(f"/api/v1/events/{event['id']}", headers=organizer.headers)

    async def rejected() -> httpx.Response | None:
        # The cancellation reaches booking by a message.
        response = await create_booking(api, buyer, event["id"])
        return response if response.status_code == 409 else None

    check_problem(await eventually(rejected), 409, "event_cancelled")


async def test_a_started_event_accepts_no_bookings(
    api: httpx.AsyncClient, organizer: ApiUser, buyer: ApiUser
) -> None:
    event = await create_event(api, organizer, startAt=in_days(1 / 86400), endAt=in_days(2 / 86400))

    async def rejected() -> httpx.Response | None:
        response = await create_booking(api, buyer, event["id"])
        return response if response.status_code == 409 else None

    response = await eventually(rejected)
    assert response.json()["error"] in {"event_started", "event_over"}


def tampered(token: str) -> str:
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["roles"] = ["admin"]
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"{head}.{forged}.{signature}"


async def test_missing_expired_and_tampered_tokens_are_rejected(
    api: httpx.AsyncClient, users: ApiUserFactory, buyer: ApiUser, event: Json
) -> None:
    path = f"/api/v1/events/{event['id']}/bookings"
    past = int(time.time()) - 3600
    expired = users.create(iat=past - 900, exp=past)
    foreign = users.create(iss="https://elsewhere.example")
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
        response = await api.post(path, json={"quantity": 1}, headers=headers)
        check_problem(response, 401, response.json()["error"])
        assert response.headers["www-authenticate"].startswith("Bearer")
    await check_nothing_booked(api, event)


def jwt_without_signature(token: str) -> str:
    _, payload, _ = token.split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    return f"{head}.{payload}."


async def test_operations_require_the_role_and_the_ownership(
    api: httpx.AsyncClient, users: ApiUserFactory, organizer: ApiUser, buyer: ApiUser, event: Json
) -> None:
    rejected = await api.post("/api/v1/events", json=event_body(), headers=buyer.headers)
    check_problem(rejected, 403, "forbidden")
    other_organizer = users.create("organizer")
    path = f"/api/v1/events/{event['id']}"
    check_problem(
        await api.patch(path, json={"name": "Mine"}, headers=other_organizer.headers),
        403,
        "forbidden",
    )
    check_problem(await api.delete(path, headers=other_organizer.headers), 403, "forbidden")
    booking = (await create_booking(api, buyer, event["id"])).json()
    for method, suffix in (("GET", ""), ("POST", "/cancel"), ("POST", "/confirm")):
        response = await api.request(
            method, f"/api/v1/bookings/{booking['id']}{suffix}", headers=other_organizer.headers
        )
        check_problem(response, 403, "forbidden")
    grant = await api.put(
        f"/api/v1/users/{buyer.id}/roles", json={"roles": ["admin"]}, headers=buyer.headers
    )
    check_problem(grant, 403, "forbidden")


async def test_a_stale_if_match_changes_nothing(
    api: httpx.AsyncClient, organizer: ApiUser, event: Json
) -> None:
    path = f"/api/v1/events/{event['id']}"
    etag = (await api.get(path)).headers["etag"]
    headers = {**organizer.headers, "If-Match": etag}
    first = await api.patch(path, json={"name": "First"}, headers=headers)
    assert (first.status_code, first.json()["name"]) == (200, "First")
    stale = await api.patch(path, json={"name": "Second"}, headers=headers)
    check_problem(stale, 412, "stale_version")
    assert (await api.get(path)).json()["name"] == "First"


async def test_a_key_reused_with_another_body_is_rejected(
    api: httpx.AsyncClient, organizer: ApiUser, buyer: ApiUser, event: Json
) -> None:
    assert (await create_booking(api, buyer, event["id"], key="k", quantity=1)).status_code == 201
    again = await create_booking(api, buyer, event["id"], key="k", quantity=2)
    check_problem(again, 422, "idempotency_key_reused")
    other = await create_event(api, organizer)
    elsewhere = await create_booking(api, buyer, other["id"], key="k", quantity=1)
    check_problem(elsewhere, 422, "idempotency_key_reused")


async def test_a_body_of_10_mb_is_rejected(
    api: httpx.AsyncClient, organizer: ApiUser, buyer: ApiUser, event: Json
) -> None:
    body = json.dumps(event_body(description="x" * 10_000_000))
    headers = {**organizer.headers, "Content-Type": "application/json"}
    response = await api.post("/api/v1/events", content=body, headers=headers)
    check_problem(response, 413, "body_too_large")


async def test_capacity_does_not_shrink_below_the_booked_quantity(
    api: httpx.AsyncClient, organizer: ApiUser, buyer: ApiUser, event: Json
) -> None:
    assert (await create_booking(api, buyer, event["id"], quantity=5)).status_code == 201
    path = f"/api/v1/events/{event['id']}"
    rejected = await api.patch(path, json={"capacity": 4}, headers=organizer.headers)
    check_problem(rejected, 409, "capacity_below_taken")
    assert (await api.get(path)).json()["capacity"] == 100
    reduced = await api.patch(path, json={"capacity": 5}, headers=organizer.headers)
    assert (reduced.status_code, reduced.json()["capacity"]) == (200, 5)
    # Catalog asks booking before it shrinks a capacity, so the new one is in force at once.
    check_problem(await create_booking(api, buyer, event["id"]), 409, "sold_out")


async def test_unknown_routes_and_methods_are_problems(api: httpx.AsyncClient) -> None:
    check_problem(await api.get("/api/v1/nothing"), 404, "not_found")
    response = await api.put("/api/v1/events")
    check_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"]
