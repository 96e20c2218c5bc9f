"""Tickets, their printed forms, and the keys that verify them."""

import asyncio
import base64
from collections.abc import Callable
from io import BytesIO

import grpc
import httpx
import pypdfium2
import pytest
import zxingcpp
from goticket.booking.v1 import booking_pb2 as pb
from goticket_testing.scripted import ScriptedBackends, ScriptedError
from pypdf import PdfReader

TICKET = "0197c0de-7a11-7b00-8a00-0000000000c1"
EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
URL = f"/api/v1/tickets/{TICKET}"

Bearer = Callable[..., dict[str, str]]


@pytest.fixture
def shown(backends: ScriptedBackends, ticket: pb.Ticket) -> pb.Ticket:
    answer = pb.GetTicketResponse(ticket=ticket)
    backends.answers["GetTicket"] = answer
    return answer.ticket


async def test_a_ticket_includes_its_event_and_its_holder(
    client: httpx.AsyncClient, bearer: Bearer, shown: pb.Ticket
) -> None:
    answer = await client.get(URL, headers=bearer())
    assert answer.status_code == 200
    assert answer.json() == {
        "id": TICKET,
        "bookingId": shown.booking_id,
        "eventId": EVENT,
        "ticketTypeId": shown.ticket_type_id,
        "ticketTypeName": "Golden circle",
        "code": shown.code,
        "status": "valid",
        "holderName": "Ada Łovelace 🎸",
        "event": {
            "id": EVENT,
            "name": "Metallica Live",
            "location": "Warsaw",
            "timezone": "Europe/Warsaw",
            "startAt": "2030-06-01T17:00:00Z",
            "endAt": "2030-06-01T21:00:00Z",
        },
    }


async def test_tickets_are_listed(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, ticket: pb.Ticket
) -> None:
    backends.answers["ListTickets"] = pb.ListTicketsResponse(tickets=[ticket])
    answer = await client.get("/api/v1/tickets?limit=5", headers=bearer())
    assert [item["id"] for item in answer.json()["items"]] == [TICKET]
    assert backends.request_of("ListTickets").limit == 5


async def test_the_qr_code_is_a_drawing_that_may_not_run_anything(
    client: httpx.AsyncClient, bearer: Bearer, shown: pb.Ticket
) -> None:
    answer = await client.get(f"{URL}/qr.svg", headers=bearer())
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert b"<svg" in answer.content
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_pdf_shows_a_code_that_scans(
    client: httpx.AsyncClient, bearer: Bearer, shown: pb.Ticket
) -> None:
    answer = await client.get(f"{URL}/ticket.pdf", headers=bearer())
    assert answer.headers["Content-Type"] == "application/pdf"
    assert f"ticket-{TICKET}.pdf" in answer.headers["Content-Disposition"]
    (page,) = PdfReader(BytesIO(answer.content)).pages
    text = page.extract_text()
    assert "Metallica Live" in text
    assert "Saturday, 1 June 2030" in text
    assert "19:00 \N{EN DASH} 23:00\nEurope/Warsaw, CEST, UTC+02:00" in text
    assert "Ada \N{LATIN CAPITAL LETTER L WITH STROKE}ovelace" in text
    assert f"Booking {shown.booking_id}" in text
    assert "VOID" not in text
    assert await asyncio.to_thread(_scan, answer.content) == [shown.code]


@pytest.mark.parametrize("suffix", ["/qr.svg", "/ticket.pdf"])
async def test_a_void_ticket_is_not_drawn(
    client: httpx.AsyncClient, bearer: Bearer, shown: pb.Ticket, suffix: str
) -> None:
    shown.status = pb.TICKET_STATUS_VOID
    answer = await client.get(URL + suffix, headers=bearer())
    assert (answer.status_code, answer.json()["error"]) == (409, "ticket_void")
    document = (await client.get("/openapi.json")).json()
    responses = document["paths"]["/api/v1/tickets/{ticket_id}" + suffix]["get"]["responses"]
    assert list(responses["409"]["content"]["application/problem+json"]["examples"]) == [
        "ticket_void"
    ]


async def test_a_void_ticket_has_no_code_whatever_booking_sends(
    client: httpx.AsyncClient,
    bearer: Bearer,
    backends: ScriptedBackends,
    shown: pb.Ticket,
    booking: pb.Booking,
) -> None:
    shown.status = booking.tickets[0].status = pb.TICKET_STATUS_VOID
    backends.answers |= {
        "ListTickets": pb.ListTicketsResponse(tickets=[shown]),
        "GetBooking": pb.GetBookingResponse(booking=booking),
        "ListBookings": pb.ListBookingsResponse(bookings=[booking]),
        "CancelBooking": pb.CancelBookingResponse(booking=booking),
    }
    own = f"/api/v1/bookings/{booking.id}"
    tickets = [
        (await client.get(URL, headers=bearer())).json(),
        *(await client.get("/api/v1/tickets", headers=bearer())).json()["items"],
        (await client.get(own, headers=bearer())).json()["tickets"][0],
        (await client.get("/api/v1/bookings", headers=bearer())).json()["items"][0]["tickets"][0],
        (await client.post(f"{own}/cancel", headers=bearer())).json()["tickets"][0],
    ]
    assert [ticket["status"] for ticket in tickets] == ["void"] * 5
    assert not [ticket for ticket in tickets if "code" in ticket]


async def test_the_pdf_omits_the_price_and_the_number_in_the_booking(
    client: httpx.AsyncClient, bearer: Bearer, shown: pb.Ticket
) -> None:
    shown.event.timezone = "Mars/Olympus"
    shown.event.location = ""
    answer = await client.get(f"{URL}/ticket.pdf", headers=bearer())
    (page,) = PdfReader(BytesIO(answer.content)).pages
    text = page.extract_text()
    assert "17:00 \N{EN DASH} 21:00\nUTC" in text
    assert "PRICE" not in text
    assert "Ticket " not in text


def _scan(document: bytes) -> list[str]:
    with pypdfium2.PdfDocument(document) as pdf:
        return [found.text for found in zxingcpp.read_barcodes(pdf[0].render(scale=3).to_pil())]


@pytest.mark.parametrize("suffix", ["", "/qr.svg", "/ticket.pdf"])
async def test_another_users_ticket_is_forbidden_in_every_form(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, suffix: str
) -> None:
    backends.answers["GetTicket"] = ScriptedError(grpc.StatusCode.PERMISSION_DENIED, "forbidden")
    answer = await client.get(URL + suffix, headers=bearer())
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    assert (await client.get(URL + suffix)).status_code == 401
    answer = await client.get(f"/api/v1/tickets/7{suffix}", headers=bearer())
    assert (answer.status_code, answer.json()["error"]) == (404, "ticket_not_found")


async def test_ticket_keys_are_published_for_scanners(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    keys = [pb.TicketKey(key_id="k1", public_key=bytes(range(32)))]
    backends.answers["ListTicketKeys"] = pb.ListTicketKeysResponse(keys=keys)
    answer = await client.get("/.well-known/ticket-keys.json")
    (key,) = answer.json()["keys"]
    assert base64.urlsafe_b64decode(key.pop("x") + "=") == bytes(range(32))
    assert key == {"kty": "OKP", "crv": "Ed25519", "kid": "k1", "use": "sig", "alg": "EdDSA"}
    assert "max-age" in answer.headers["Cache-Control"]
