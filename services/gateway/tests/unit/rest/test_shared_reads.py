"""Own reads of several callers at once: one call to booking, an answer for each of them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import httpx
import pytest
from goticket.booking.v1 import booking_pb2 as pb
from goticket_testing.scripted import ScriptedBackends, ScriptedError

BOOKING = "0197c0de-7a11-7b00-8a00-0000000000b1"
TICKET = "0197c0de-7a11-7b00-8a00-0000000000c1"
USER = "0197c0de-7a11-7b00-8a00-0000000000d1"
OTHER_USER = "0197c0de-7a11-7b00-8a00-0000000000d2"

Bearer = Callable[..., dict[str, str]]

FORBIDDEN = pb.BatchError(
    status=grpc.StatusCode.PERMISSION_DENIED.value[0], reason="forbidden", message="No."
)


@pytest.fixture
def shared(backends: ScriptedBackends, booking: pb.Booking, ticket: pb.Ticket) -> ScriptedBackends:
    """USER owns everything; the ticket pages of others are empty."""

    def is_owner(request: Any) -> bool:
        owner: bool = request.actor.user_id == USER
        return owner

    def bookings(batch: pb.BatchGetBookingsRequest) -> pb.BatchGetBookingsResponse:
        return pb.BatchGetBookingsResponse(
            results=[
                pb.GetBookingResult(booking=booking)
                if is_owner(each)
                else pb.GetBookingResult(error=FORBIDDEN)
                for each in batch.requests
            ]
        )

    def tickets(batch: pb.BatchGetTicketsRequest) -> pb.BatchGetTicketsResponse:
        return pb.BatchGetTicketsResponse(
            results=[
                pb.GetTicketResult(ticket=ticket)
                if is_owner(each)
                else pb.GetTicketResult(error=FORBIDDEN)
                for each in batch.requests
            ]
        )

    def pages(batch: pb.BatchListTicketsRequest) -> pb.BatchListTicketsResponse:
        return pb.BatchListTicketsResponse(
            results=[
                pb.ListTicketsResult(
                    page=pb.ListTicketsResponse(tickets=[ticket] if is_owner(each) else [])
                )
                for each in batch.requests
            ]
        )

    backends.answers |= {
        "GetBooking": pb.GetBookingResponse(booking=booking),
        "GetTicket": pb.GetTicketResponse(ticket=ticket),
        "ListTickets": pb.ListTicketsResponse(tickets=[ticket]),
        "BatchGetBookings": bookings,
        "BatchGetTickets": tickets,
        "BatchListTickets": pages,
    }
    return backends


async def answers_of_both(
    client: httpx.AsyncClient, bearer: Bearer, path: str
) -> Sequence[httpx.Response]:
    """Let the owner and another user read at the same time, once the token keys are known."""
    await client.get(path, headers=bearer())
    await client.get(path, headers=(other := bearer(sub=OTHER_USER)))
    return await asyncio.gather(client.get(path, headers=bearer()), client.get(path, headers=other))


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (f"/api/v1/bookings/{BOOKING}", "BatchGetBookings"),
        (f"/api/v1/tickets/{TICKET}", "BatchGetTickets"),
        (f"/api/v1/tickets/{TICKET}/qr.svg", "BatchGetTickets"),
    ],
)
async def test_a_call_for_several_callers_answers_each_by_its_own_rights(
    client: httpx.AsyncClient, bearer: Bearer, shared: ScriptedBackends, path: str, method: str
) -> None:
    alone = await client.get(path, headers=bearer())
    own, refused = await answers_of_both(client, bearer, path)
    assert [each.actor.user_id for each in shared.request_of(method).requests] == [USER, OTHER_USER]
    assert (own.status_code, own.content) == (200, alone.content)
    assert (refused.status_code, refused.json()["error"]) == (403, "forbidden")
    assert shared.metadata[method].keys() >= {"x-request-id"}
    assert "x-user-id" not in shared.metadata[method]


async def test_pages_of_tickets_of_several_callers_share_a_call(
    client: httpx.AsyncClient, bearer: Bearer, shared: ScriptedBackends
) -> None:
    own, empty = await answers_of_both(client, bearer, "/api/v1/tickets")
    assert len(shared.request_of("BatchListTickets").requests) == 2
    assert [item["id"] for item in own.json()["items"]] == [TICKET]
    assert empty.json() == {"nextCursor": None, "items": []}


async def test_a_call_that_fails_fails_for_each_of_its_callers(
    client: httpx.AsyncClient, bearer: Bearer, shared: ScriptedBackends
) -> None:
    shared.answers["BatchGetBookings"] = ScriptedError(grpc.StatusCode.INTERNAL, "internal")
    failed = await answers_of_both(client, bearer, f"/api/v1/bookings/{BOOKING}")
    assert [answer.status_code for answer in failed] == [500, 500]
    assert len({answer.json()["requestId"] for answer in failed}) == 2
