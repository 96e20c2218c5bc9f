"""Bookings over HTTP."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import httpx
import pytest
from gateway.clients.booking import BookingClient
from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.rpc.client import open_channel
from goticket_platform.rpc.errors import RemoteError
from goticket_testing.scripted import ScriptedBackends, ScriptedError
from prometheus_client import REGISTRY

EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
TYPE = "0197c0de-7a11-7b00-8a00-0000000000a1"
BOOKING = "0197c0de-7a11-7b00-8a00-0000000000b1"
TICKET = "0197c0de-7a11-7b00-8a00-0000000000c1"
USER = "0197c0de-7a11-7b00-8a00-0000000000d1"
URL = f"/api/v1/events/{EVENT}/bookings"

Bearer = Callable[..., dict[str, str]]
Status = grpc.StatusCode


async def test_booking_a_quantity_answers_with_tickets(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, booking: pb.Booking
) -> None:
    backends.answers["CreateBooking"] = pb.CreateBookingResponse(booking=booking)
    answer = await client.post(URL, json={"quantity": 2}, headers=bearer())
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/v1/bookings/{BOOKING}"
    assert "Idempotency-Replayed" not in answer.headers
    ticket = {
        "id": TICKET,
        "code": "GT1.c2lnbmVk.Y29kZQ",
        "ticketTypeId": TYPE,
        "status": "valid",
    }
    assert answer.json() == {
        "id": BOOKING,
        "eventId": EVENT,
        "userId": USER,
        "buyerName": "Ada Lovelace",
        "buyerEmail": "ada@goticket.test",
        "status": "confirmed",
        "items": [
            {"ticketTypeId": TYPE, "name": "Golden circle", "quantity": 2, "unitPrice": 45000}
        ],
        "total": 90000,
        "currency": "EUR",
        "tickets": [ticket, ticket],
        "createdAt": "2029-01-01T00:00:00.500000Z",
    }
    asked: pb.CreateBookingRequest = backends.request_of("CreateBooking")
    assert asked.event_id == EVENT
    assert [(line.ticket_type_id, line.quantity) for line in asked.lines] == [("", 2)]
    assert (asked.actor.email, asked.actor.name) == ("ada@goticket.test", "Ada Lovelace")
    assert (asked.hold, asked.idempotency_key) == (False, "")


async def test_a_hold_of_several_lines_includes_its_expiry(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, booking: pb.Booking
) -> None:
    booking.status = pb.BOOKING_STATUS_HELD
    booking.expires_at.FromJsonString("2029-01-01T00:10:00Z")
    del booking.tickets[:]
    backends.answers["CreateBooking"] = pb.CreateBookingResponse(booking=booking)
    lines = [{"ticketTypeId": TYPE, "quantity": 2}, {"ticketTypeId": EVENT, "quantity": 1}]
    answer = await client.post(URL, json={"items": lines, "hold": True}, headers=bearer())
    assert answer.status_code == 201
    assert (answer.json()["status"], answer.json()["tickets"]) == ("held", [])
    assert answer.json()["expiresAt"] == "2029-01-01T00:10:00Z"
    asked: pb.CreateBookingRequest = backends.request_of("CreateBooking")
    assert asked.hold
    assert [line.ticket_type_id for line in asked.lines] == [TYPE, EVENT]


async def test_a_replayed_request_gets_the_first_response_and_is_marked(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, booking: pb.Booking
) -> None:
    backends.answers["CreateBooking"] = pb.CreateBookingResponse(booking=booking, replayed=True)
    headers = bearer() | {"Idempotency-Key": "order-17"}
    answer = await client.post(URL, json={"quantity": 2}, headers=headers)
    assert (answer.status_code, answer.headers["Idempotency-Replayed"]) == (201, "true")
    assert backends.request_of("CreateBooking").idempotency_key == "order-17"


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "ümlaut"])
async def test_an_idempotency_key_is_visible_ascii(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, key: str
) -> None:
    headers = {**bearer(), "Idempotency-Key": key.encode("latin-1")}
    answer = await client.post(URL, json={"quantity": 2}, headers=headers)  # type: ignore[arg-type]  # bytes, to send what httpx would encode
    assert answer.status_code == 422
    assert [item["field"] for item in answer.json()["errors"]] == ["Idempotency-Key"]
    assert backends.was_not_called("CreateBooking")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": -1}, "quantity"),
        ({"quantity": "2"}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": 10**30}, "quantity"),
        ({"quantity": 2, "hold": "yes"}, "hold"),
        ({"items": []}, "items"),
        ({"items": "all"}, "items"),
        ({"items": [{"quantity": 1}]}, "items[0].ticketTypeId"),
        ({"items": [{"ticketTypeId": TYPE, "quantity": 0}]}, "items[0].quantity"),
        ({"items": [{"ticketTypeId": "\x00", "quantity": 1}]}, "items[0].ticketTypeId"),
        ({"items": [{"ticketTypeId": TYPE, "quantity": 1}], "quantity": 1}, "quantity"),
        ([], "body"),
        ("2", "body"),
        (None, "body"),
    ],
)
async def test_a_wrong_booking_is_refused_with_the_field(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, body: Any, field: str
) -> None:
    answer = await client.post(
        URL, content=_json(body), headers=bearer() | {"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]) == (422, "validation_failed")
    assert [item["field"] for item in answer.json()["errors"]] == [field]
    assert backends.was_not_called("CreateBooking")


def _json(body: Any) -> str:
    import json

    return json.dumps(body)


@pytest.mark.parametrize(
    ("status", "code", "http"),
    [
        (Status.NOT_FOUND, "event_not_found", 404),
        (Status.RESOURCE_EXHAUSTED, "sold_out", 409),
        (Status.FAILED_PRECONDITION, "event_cancelled", 409),
        (Status.FAILED_PRECONDITION, "event_over", 409),
        (Status.FAILED_PRECONDITION, "max_per_buyer_exceeded", 409),
        (Status.FAILED_PRECONDITION, "too_many_holds", 409),
        (Status.ABORTED, "request_in_progress", 409),
        (Status.INVALID_ARGUMENT, "unknown_ticket_type", 422),
        (Status.INVALID_ARGUMENT, "max_per_booking_exceeded", 422),
        (Status.INVALID_ARGUMENT, "validation_failed", 422),
        (Status.ALREADY_EXISTS, "idempotency_key_reused", 422),
        (Status.UNAVAILABLE, "unavailable", 503),
        (Status.RESOURCE_EXHAUSTED, "busy", 503),
        (Status.UNAVAILABLE, "busy", 503),
        (Status.DEADLINE_EXCEEDED, "deadline_exceeded", 503),
        (Status.INTERNAL, "internal", 500),
    ],
)
async def test_bookings_refusals_keep_their_status_and_message(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    status: grpc.StatusCode,
    code: str,
    http: int,
) -> None:
    backends.answers["CreateBooking"] = ScriptedError(status, code, "Said by booking.")
    answer = await client.post(URL, json={"quantity": 2}, headers=bearer())
    assert answer.status_code == http
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["error"] == ("timeout" if code == "deadline_exceeded" else code)
    # Words of a failure may name our insides; words of a refusal are for people.
    assert (problem["detail"] == "Said by booking.") == (http < 500)
    assert answer.headers.get("Retry-After") in ({"1", "2", "3"} if http == 503 else {None})


async def test_only_a_booking_with_an_idempotency_key_is_retried(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    backends.answers["CreateBooking"] = ScriptedError(Status.UNAVAILABLE, "unavailable")
    await client.post(URL, json={"quantity": 1}, headers=bearer())
    assert len(backends.requests["CreateBooking"]) == 1
    await client.post(URL, json={"quantity": 1}, headers=bearer() | {"Idempotency-Key": "k"})
    assert len(backends.requests["CreateBooking"]) > 2


async def test_booking_needs_a_token(client: httpx.AsyncClient, backends: ScriptedBackends) -> None:
    answer = await client.post(URL, json={"quantity": 2})
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert backends.was_not_called("CreateBooking")


async def test_a_booking_of_no_event_is_not_found(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    answer = await client.post("/api/v1/events/7/bookings", json={"quantity": 2}, headers=bearer())
    assert (answer.status_code, answer.json()["error"]) == (404, "event_not_found")
    assert backends.was_not_called("CreateBooking")


async def test_a_booking_is_read_confirmed_and_cancelled_by_its_id(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, booking: pb.Booking
) -> None:
    booking.confirmed_at.FromJsonString("2029-01-01T00:00:01Z")
    backends.answers |= {
        "GetBooking": pb.GetBookingResponse(booking=booking),
        "ConfirmBooking": pb.ConfirmBookingResponse(booking=booking),
        "CancelBooking": pb.CancelBookingResponse(booking=booking),
        "ExtendHold": pb.ExtendHoldResponse(booking=booking),
    }
    url = f"/api/v1/bookings/{BOOKING}"
    for answer in (
        await client.get(url, headers=bearer()),
        await client.post(f"{url}/confirm", headers=bearer()),
        await client.post(f"{url}/cancel", headers=bearer()),
        await client.post(f"{url}/extend", headers=bearer()),
    ):
        assert answer.status_code == 200
        assert answer.json()["confirmedAt"] == "2029-01-01T00:00:01Z"
        assert "expiresAt" not in answer.json()
    for method in ("GetBooking", "ConfirmBooking", "CancelBooking", "ExtendHold"):
        asked = backends.request_of(method)
        assert (asked.booking_id, asked.actor.user_id) == (BOOKING, USER)


@pytest.mark.parametrize(
    ("status", "code", "http"),
    [
        (Status.NOT_FOUND, "booking_not_found", 404),
        (Status.PERMISSION_DENIED, "forbidden", 403),
        (Status.FAILED_PRECONDITION, "hold_expired", 409),
        (Status.FAILED_PRECONDITION, "booking_closed", 409),
        (Status.FAILED_PRECONDITION, "event_started", 409),
    ],
)
async def test_other_users_or_closed_bookings_are_refused(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    status: grpc.StatusCode,
    code: str,
    http: int,
) -> None:
    backends.answers["CancelBooking"] = ScriptedError(status, code)
    answer = await client.post(f"/api/v1/bookings/{BOOKING}/cancel", headers=bearer())
    assert (answer.status_code, answer.json()["error"]) == (http, code)


@pytest.mark.parametrize(
    "path", ["bookings/7", "bookings/7/confirm", "bookings/7/extend", "bookings/7/cancel"]
)
async def test_an_id_that_is_none_names_no_booking(
    client: httpx.AsyncClient, bearer: Bearer, path: str
) -> None:
    method = "POST" if path.count("/") > 1 else "GET"
    answer = await client.request(method, f"/api/v1/{path}", headers=bearer())
    assert (answer.status_code, answer.json()["error"]) == (404, "booking_not_found")


async def test_a_hold_is_extended_once(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    backends.answers["ExtendHold"] = ScriptedError(
        Status.FAILED_PRECONDITION, "hold_already_extended"
    )
    answer = await client.post(f"/api/v1/bookings/{BOOKING}/extend", headers=bearer())
    assert (answer.status_code, answer.json()["error"]) == (409, "hold_already_extended")
    assert len(backends.requests["ExtendHold"]) == 1


async def test_bookings_are_listed_by_page_and_status(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, booking: pb.Booking
) -> None:
    backends.answers["ListBookings"] = pb.ListBookingsResponse(
        bookings=[booking], next_cursor="bmV4dA"
    )
    answer = await client.get("/api/v1/bookings?limit=1&cursor=YQ&status=held", headers=bearer())
    assert answer.status_code == 200
    assert answer.json()["nextCursor"] == "bmV4dA"
    assert answer.json()["items"][0]["id"] == BOOKING
    asked: pb.ListBookingsRequest = backends.request_of("ListBookings")
    assert (asked.limit, asked.cursor, asked.event_id) == (1, "YQ", "")
    assert asked.status == pb.BOOKING_STATUS_HELD


async def test_an_events_bookings_are_for_its_organizer(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, booking: pb.Booking
) -> None:
    assert (await client.get(URL, headers=bearer())).status_code == 403
    assert backends.was_not_called("ListBookings")
    backends.answers["ListBookings"] = pb.ListBookingsResponse(bookings=[booking])
    answer = await client.get(URL, headers=bearer("organizer"))
    assert (answer.status_code, answer.json()["nextCursor"]) == (200, None)
    assert backends.request_of("ListBookings").event_id == EVENT


async def test_concurrent_bookings_share_one_call_and_each_gets_its_own_response(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, booking: pb.Booking
) -> None:
    let_go = asyncio.Event()

    async def first(_request: pb.CreateBookingRequest) -> pb.CreateBookingResponse:
        await let_go.wait()
        return pb.CreateBookingResponse(booking=booking)

    def many(request: pb.BatchCreateBookingsRequest) -> pb.BatchCreateBookingsResponse:
        return pb.BatchCreateBookingsResponse(results=[_result(one) for one in request.requests])

    def _result(one: pb.CreateBookingRequest) -> pb.BatchResult:
        if one.lines[0].quantity > 5:
            return pb.BatchResult(error=_REFUSED)
        made = pb.Booking()
        made.CopyFrom(booking)
        made.total = one.lines[0].quantity
        return pb.BatchResult(created=pb.CreateBookingResponse(booking=made))

    backends.answers |= {"CreateBooking": first, "BatchCreateBookings": many}
    async with asyncio.TaskGroup() as tasks:

        def post(quantity: int) -> asyncio.Task[httpx.Response]:
            return tasks.create_task(
                client.post(URL, json={"quantity": quantity}, headers=bearer())
            )

        posted = [post(1)]
        while not backends.requests.get("CreateBooking"):
            await asyncio.sleep(0.01)
        posted += [post(quantity) for quantity in (2, 9, 3)]
        while REGISTRY.get_sample_value("goticket_gateway_batch_queue_depth") != 3:
            await asyncio.sleep(0.01)
        let_go.set()
    answers = [one.result() for one in posted]
    assert [answer.status_code for answer in answers] == [201, 201, 409, 201]
    assert [answers[1].json()["total"], answers[3].json()["total"]] == [2, 3]
    problem = answers[2].json()
    assert (problem["error"], problem["detail"]) == ("sold_out", "Said by booking.")
    assert problem["errors"] == [{"field": "items[0].quantity", "message": "Too many."}]
    assert (problem["ticketTypeId"], problem["available"]) == (TYPE, 1)
    batch: pb.BatchCreateBookingsRequest = backends.request_of("BatchCreateBookings")
    assert sorted(one.lines[0].quantity for one in batch.requests) == [2, 3, 9]


_REFUSED = pb.BatchError(
    status=Status.RESOURCE_EXHAUSTED.value[0],
    reason="sold_out",
    message="Said by booking.",
    fields=[pb.FieldViolation(field="items[0].quantity", message="Too many.")],
    metadata={"ticketTypeId": TYPE, "available": "1"},
)


async def test_a_batch_that_finds_no_booking_service_is_tried_again_for_those_with_a_key(
    backends: ScriptedBackends, booking: pb.Booking
) -> None:
    async with open_channel(backends.target) as channel:
        service = BookingClient(channel)
        backends.answers["BatchCreateBookings"] = ScriptedError(Status.UNAVAILABLE, "unavailable")
        requests = [pb.CreateBookingRequest(idempotency_key=key) for key in ("a", "", "b")]
        outcomes = await service.create_many(requests, 5)
        assert [_code(one) for one in outcomes] == ["unavailable"] * 3
        sizes = [len(batch.requests) for batch in backends.requests["BatchCreateBookings"]]
        assert sizes == [3, 2, 2, 2]

        def back(request: pb.BatchCreateBookingsRequest) -> pb.BatchCreateBookingsResponse:
            if len(request.requests) == 3:
                raise ScriptedError(Status.UNAVAILABLE, "unavailable")
            created = pb.BatchResult(created=pb.CreateBookingResponse(booking=booking))
            return pb.BatchCreateBookingsResponse(results=[created] * len(request.requests))

        backends.answers["BatchCreateBookings"] = back
        outcomes = await service.create_many(requests, 5)
        assert [_code(one) for one in outcomes] == ["", "unavailable", ""]


def _code(outcome: pb.CreateBookingResponse | RemoteError) -> str:
    return outcome.code if isinstance(outcome, RemoteError) else ""
