"""What a refused request costs: no body is read and no call is made before the cheap checks."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import httpx
import pytest
from fastapi import FastAPI
from goticket.booking.v1 import booking_pb2
from goticket.catalog.v1 import catalog_pb2
from goticket_testing.scripted import ScriptedBackends, ScriptedError

EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
OTHER = "0197c0de-7a11-7b00-8a00-0000000000e2"
NOT_FOUND = grpc.StatusCode.NOT_FOUND
BOOK = f"/api/v1/events/{EVENT}/bookings"

Bearer = Callable[..., dict[str, str]]


def calls(backends: ScriptedBackends) -> dict[str, int]:
    """The calls since the last one of this function; keys of tokens are fetched once."""
    made = {name: len(requests) for name, requests in backends.requests.items()}
    backends.requests.clear()
    made.pop("GetJwks", None)
    return made


def operations(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in app.openapi()["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


async def answer_unread(
    app: FastAPI, method: str, path: str, headers: dict[str, str]
) -> tuple[int, bool]:
    """Return the status of a request with a large body, and whether the body was read."""
    was_read = False
    status = 0

    async def receive() -> dict[str, Any]:
        nonlocal was_read
        was_read = True
        return {"type": "http.request", "body": b'{"a":"' + b"x" * 50_000, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    fields = {"content-type": "application/json", **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), text.encode()) for name, text in fields.items()],
        "client": ("127.0.0.1", 1),
        "server": ("gateway", 80),
        "state": {},
    }
    await app(scope, receive, send)  # type: ignore[arg-type]  # our scope is a plain dict
    return status, was_read


async def test_no_body_is_read_before_caller_role_and_ids_are_checked(
    app: FastAPI, backends: ScriptedBackends, bearer: Bearer
) -> None:
    seen = Counter[int]()
    for method, path, operation in operations(app):
        if not operation.get("requestBody") or not operation.get("security"):
            continue
        known = path.format(event_id=EVENT, booking_id=EVENT, user_id=EVENT)
        cases = [
            (known, {}, 401),
            (known, bearer(exp=1), 401),
            (known, {"Authorization": "Bearer x"}, 401),
        ]
        if "403" in operation["responses"]:
            cases.append((known, bearer(), 403))
        if "{" in path:
            nowhere = path.format(event_id="x", booking_id="x", user_id="x")
            cases.append((nowhere, bearer("organizer", "admin"), 404))
        for address, headers, expected in cases:
            assert await answer_unread(app, method, address, headers) == (expected, False), path
            seen[expected] += 1
    assert calls(backends) == {}
    assert all(seen[status] >= 3 for status in (401, 403, 404)), seen


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", BOOK, {"quantity": 0}, 422),
        ("POST", BOOK, {"quantity": 2**31}, 422),
        ("POST", BOOK, {"quantity": 1, "items": []}, 422),
        ("POST", BOOK, {"items": [{"ticketTypeId": EVENT, "quantity": 1}] * 51}, 422),
        ("POST", "/api/v1/events/x/bookings", {"quantity": 1}, 404),
        ("POST", "/api/v1/events", {"name": "x"}, 422),
        ("PATCH", f"/api/v1/events/{EVENT}", {"price": -1}, 422),
        ("PUT", f"/api/v1/events/{EVENT}", {"name": ""}, 422),
        ("PUT", f"/api/v1/users/{EVENT}/roles", {"roles": ["king"]}, 422),
        ("GET", "/api/v1/events?limit=101", None, 422),
        ("GET", "/api/v1/bookings?limit=0", None, 422),
        ("GET", "/api/v1/tickets?limit=x", None, 422),
        ("GET", f"/api/v1/events/{EVENT}/bookings?limit=101", None, 422),
        ("GET", "/api/v1/users?email=x", None, 422),
        ("GET", "/api/v1/bookings/x", None, 404),
        ("GET", "/api/v1/tickets/x/ticket.pdf", None, 404),
        ("POST", "/api/v1/bookings/x/confirm", None, 404),
        ("POST", "/api/v1/auth/login", {"email": "x", "password": "y"}, 422),
        ("POST", "/api/v1/auth/register", {"email": "a@b.c", "password": "y" * 2000}, 422),
    ],
)
async def test_an_invalid_request_makes_no_call(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    method: str,
    path: str,
    body: object,
    status: int,
) -> None:
    headers = bearer("organizer", "admin") | {"If-Match": '"1", "2"'}
    answer = await client.request(method, path, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert calls(backends) == {}


async def test_an_unknown_event_costs_one_call_a_second_in_all_reads_and_bookings(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    backends.answers["GetEvent"] = ScriptedError(NOT_FOUND, "event_not_found")
    url = f"/api/v1/events/{EVENT}"
    assert (await client.get(url)).status_code == 404
    assert calls(backends) == {"GetEvent": 1}
    for path in (url, f"{url}/availability", url):
        for headers in ({}, bearer()):
            answer = await client.get(path, headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (404, "event_not_found")
    for headers in (bearer(), bearer() | {"Idempotency-Key": "order-17"}):
        answer = await client.post(BOOK, json={"quantity": 1}, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (404, "event_not_found")
    assert calls(backends) == {}


async def test_a_booking_of_an_unknown_event_costs_one_call_a_second(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    backends.answers["CreateBooking"] = ScriptedError(NOT_FOUND, "event_not_found")
    for _ in range(3):
        answer = await client.post(BOOK, json={"quantity": 1}, headers=bearer())
        assert (answer.status_code, answer.json()["error"]) == (404, "event_not_found")
    assert calls(backends) == {"CreateBooking": 1}


async def test_an_organizer_who_publishes_an_event_reads_and_books_it_at_once(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    event: catalog_pb2.Event,
    booking: booking_pb2.Booking,
) -> None:
    missing = ScriptedError(NOT_FOUND, "event_not_found")
    backends.answers |= {"GetEvent": missing, "CreateBooking": missing}
    url = f"/api/v1/events/{EVENT}"
    assert (await client.get(url)).status_code == 404
    backends.answers |= {
        "GetEvent": catalog_pb2.GetEventResponse(event=event),
        "UpdateEvent": catalog_pb2.UpdateEventResponse(event=event),
        "CreateBooking": booking_pb2.CreateBookingResponse(booking=booking),
    }
    change = {"status": "published"}
    assert (await client.patch(url, json=change, headers=bearer("organizer"))).status_code == 200
    assert (await client.get(url)).status_code == 200
    booked = await client.post(BOOK, json={"quantity": 1}, headers=bearer())
    assert booked.status_code == 201


async def test_unknown_events_that_are_read_together_share_a_call(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    backends.answers["BatchGetEvents"] = catalog_pb2.BatchGetEventsResponse()
    urls = [f"/api/v1/events/{number:08x}{EVENT[8:]}" for number in range(40)]
    answers = await asyncio.gather(*map(client.get, urls))
    assert {answer.status_code for answer in answers} == {404}
    assert sum(calls(backends).values()) <= len(urls) // 4
    answers = await asyncio.gather(*map(client.get, urls))
    assert {answer.status_code for answer in answers} == {404}
    assert calls(backends) == {}


@pytest.mark.parametrize(
    ("path", "one", "many", "code"),
    [
        ("/api/v1/bookings/", "GetBooking", "BatchGetBookings", "booking_not_found"),
        ("/api/v1/tickets/", "GetTicket", "BatchGetTickets", "ticket_not_found"),
    ],
)
async def test_unknown_bookings_and_tickets_share_calls_but_no_memory(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    path: str,
    one: str,
    many: str,
    code: str,
) -> None:
    error = booking_pb2.BatchError(status=NOT_FOUND.value[0], reason=code, message="No.")

    def batch(request: Any) -> Any:
        response = getattr(booking_pb2, f"{many}Response")()
        for _ in request.requests:
            response.results.add(error=error)
        return response

    backends.answers |= {one: ScriptedError(NOT_FOUND, code), many: batch}
    urls = [f"{path}{number:08x}{EVENT[8:]}" for number in range(40)]
    for _ in range(2):  # whether a private thing exists now is asked for each time
        answers = await asyncio.gather(*(client.get(url, headers=bearer()) for url in urls))
        assert {(a.status_code, a.json()["error"]) for a in answers} == {(404, code)}
        made = calls(backends)
        assert made.keys() <= {one, many}
        assert 1 <= sum(made.values()) <= len(urls) // 4


async def test_a_forbidden_change_makes_no_call(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    headers = bearer() | {"If-Match": '"1", "2"'}
    for method in ("PUT", "PATCH", "DELETE"):
        url = f"/api/v1/events/{OTHER}"
        answer = await client.request(method, url, json={}, headers=headers)
        assert answer.status_code == 403
    assert calls(backends) == {}
