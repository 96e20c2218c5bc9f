"""The journeys of the quickstart, from an event to the e-mail with the ticket."""

import base64
import email
import email.policy
from email.message import EmailMessage
from uuid import UUID, uuid4

import httpx
import icalendar
import pypdfium2
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from goticket_testing.clients import (
    ApiUser,
    Json,
    Mailbox,
    create_booking,
    create_event,
    event_body,
    eventually,
    wait_for_availability,
)


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verify(code: str, keys: Json) -> tuple[UUID, UUID]:
    """Verify a ticket code as an offline scanner does; return its ticket id and event id."""
    prefix, _, body = code.rpartition(".")
    key = next(key for key in keys["keys"] if key["kid"] == prefix.removeprefix("GT1."))
    public = Ed25519PublicKey.from_public_bytes(unpadded(key["x"]))
    raw = base64.b32decode(body + "=" * (-len(body) % 8))
    claims, signature = raw[:32], raw[32:]
    public.verify(signature, f"{prefix}.".encode() + claims)
    return UUID(bytes=claims[:16]), UUID(bytes=claims[16:])


def parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def attachments(message: EmailMessage, kind: str) -> list[bytes]:
    payloads = (
        part.get_payload(decode=True) for part in message.walk() if part.get_content_type() == kind
    )
    return [payload for payload in payloads if isinstance(payload, bytes)]


def qr_codes(pdf: bytes) -> list[str]:
    """Read every QR code on the rendered pages of a PDF."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        return [
            found.text
            for page in document
            for found in zxingcpp.read_barcodes(page.render(scale=3).to_pil())
        ]
    finally:
        document.close()


async def has_emails(mailbox: Mailbox, buyer: ApiUser, count: int) -> bool:
    return len(await mailbox.messages_to(buyer.email)) == count


async def test_a_buyer_gets_an_email_with_tickets_that_scan(
    api: httpx.AsyncClient, mailbox: Mailbox, organizer: ApiUser, buyer: ApiUser
) -> None:
    response = await api.post("/api/v1/events", json=event_body(), headers=organizer.headers)
    assert response.status_code == 201
    event = response.json()
    assert response.headers["location"].endswith(f"/api/v1/events/{event['id']}")
    assert response.headers["etag"]
    assert (event["capacity"], event["availableSpots"]) == (1000, 1000)
    assert [kind["name"] for kind in event["ticketTypes"]] == ["General Admission"]

    response = await create_booking(api, buyer, event["id"], quantity=2)
    assert response.status_code == 201
    booking = response.json()
    assert (booking["status"], booking["total"], booking["currency"]) == ("confirmed", 50000, "EUR")
    codes = [ticket["code"] for ticket in booking["tickets"]]
    assert len(set(codes)) == 2

    [summary] = await eventually(lambda: mailbox.messages_to(buyer.email))
    message = parsed(await mailbox.raw(summary["ID"]))
    kinds = {part.get_content_type() for part in message.walk()}
    assert {"text/plain", "text/html", "application/pdf", "text/calendar"} <= kinds
    scanned = [code for pdf in attachments(message, "application/pdf") for code in qr_codes(pdf)]
    assert sorted(scanned) == sorted(codes)

    keys = (await api.get("/.well-known/ticket-keys.json")).json()
    admissions = {verify(code, keys) for code in scanned}
    assert admissions == {(UUID(ticket["id"]), UUID(event["id"])) for ticket in booking["tickets"]}
    [calendar] = attachments(message, "text/calendar")
    [entry] = icalendar.Calendar.from_ical(calendar).walk("VEVENT")
    assert entry["SUMMARY"] == "Metallica Live"


async def test_a_booking_its_tickets_and_the_availability_can_be_read(
    api: httpx.AsyncClient, organizer: ApiUser, buyer: ApiUser
) -> None:
    event = await create_event(api, organizer)
    booking = (await create_booking(api, buyer, event["id"], quantity=2)).json()
    path = f"/api/v1/bookings/{booking['id']}"
    assert (await api.get(path, headers=buyer.headers)).json() == booking
    assert (await api.get(path, headers=organizer.headers)).status_code == 200
    listed = (await api.get("/api/v1/bookings", headers=buyer.headers)).json()
    assert [item["id"] for item in listed["items"]] == [booking["id"]]
    ticket = booking["tickets"][0]
    image = await api.get(f"/api/v1/tickets/{ticket['id']}/qr.svg", headers=buyer.headers)
    assert image.headers["content-type"].startswith("image/svg+xml")
    pdf = await api.get(f"/api/v1/tickets/{ticket['id']}/ticket.pdf", headers=buyer.headers)
    assert qr_codes(pdf.content) == [ticket["code"]]
    await wait_for_availability(api, event["id"], 998)

    async def has_available_spots() -> bool:
        response = await api.get(f"/api/v1/events/{event['id']}")
        return bool(response.json()["availableSpots"] == 998)

    await eventually(has_available_spots)


async def test_a_hold_is_confirmed_and_a_cancelled_booking_returns_its_tickets(
    api: httpx.AsyncClient, mailbox: Mailbox, organizer: ApiUser, buyer: ApiUser
) -> None:
    event = await create_event(api, organizer, capacity=5)
    held = (await create_booking(api, buyer, event["id"], quantity=3, hold=True)).json()
    assert (held["status"], held["tickets"]) == ("held", [])
    assert held["expiresAt"] > held["createdAt"]
    path = f"/api/v1/bookings/{held['id']}"
    confirmed = (await api.post(f"{path}/confirm", headers=buyer.headers)).json()
    assert (confirmed["status"], len(confirmed["tickets"])) == ("confirmed", 3)
    await eventually(lambda: has_emails(mailbox, buyer, 1))
    cancelled = (await api.post(f"{path}/cancel", headers=buyer.headers)).json()
    assert cancelled["status"] == "cancelled"
    again = await api.post(f"{path}/confirm", headers=buyer.headers)
    assert again.status_code == 409
    await wait_for_availability(api, event["id"], 5)

    await eventually(lambda: has_emails(mailbox, buyer, 2))


async def test_a_cancelled_event_cancels_its_bookings_and_notifies_the_buyers(
    api: httpx.AsyncClient, mailbox: Mailbox, organizer: ApiUser, buyer: ApiUser
) -> None:
    event = await create_event(api, organizer)
    booking = (await create_booking(api, buyer, event["id"])).json()
    path = f"/api/v1/events/{event['id']}"
    assert (await api.delete(path, headers=organizer.headers)).status_code == 204

    async def cancelled() -> bool:
        response = await api.get(f"/api/v1/bookings/{booking['id']}", headers=buyer.headers)
        return bool(response.json()["status"] == "cancelled")

    await eventually(cancelled)
    await eventually(lambda: has_emails(mailbox, buyer, 2))
    assert (await api.get(path)).json()["status"] == "cancelled"
    assert (await create_booking(api, buyer, event["id"])).json()["error"] == "event_cancelled"


async def test_a_changed_price_is_read_at_once_and_soon_applies_to_bookings(
    api: httpx.AsyncClient, organizer: ApiUser, buyer: ApiUser
) -> None:
    event = await create_event(api, organizer, price=25000)
    path = f"/api/v1/events/{event['id']}"
    assert (await api.get(path)).json()["price"] == 25000  # now the gateway has it in its cache
    changed = await api.patch(path, json={"price": 30000}, headers=organizer.headers)
    assert changed.status_code == 200, changed.text
    assert (await api.get(path, headers=organizer.headers)).json()["price"] == 30000

    async def total_has_new_price() -> bool:
        # The change reaches booking by a message.
        booking = (await create_booking(api, buyer, event["id"])).json()
        return bool(booking["total"] == 30000)

    await eventually(total_has_new_price)


async def test_an_account_registers_logs_in_refreshes_its_token_and_logs_out(
    api: httpx.AsyncClient,
) -> None:
    address = f"{uuid4()}@People.example"
    account = {"email": address, "password": "correct horse", "name": "Ada"}
    response = await api.post("/api/v1/auth/register", json=account)
    assert response.status_code == 201
    assert response.json()["email"] == address.lower()
    assert response.json()["roles"] == ["user"]
    again = await api.post("/api/v1/auth/register", json=account)
    assert (again.status_code, again.json()["error"]) == (409, "email_taken")
    wrong = await api.post(
        "/api/v1/auth/login", json={"email": account["email"], "password": "wrong horse"}
    )
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_credentials")
    tokens = (await api.post("/api/v1/auth/login", json=account)).json()
    assert (tokens["tokenType"], tokens["expiresIn"]) == ("Bearer", 900)
    headers = {"Authorization": f"Bearer {tokens['accessToken']}"}
    assert (await api.get("/api/v1/users/me", headers=headers)).json()["name"] == "Ada"
    old = {"refreshToken": tokens["refreshToken"]}
    renewed = (await api.post("/api/v1/auth/refresh", json=old)).json()
    assert (await api.post("/api/v1/auth/refresh", json=old)).status_code == 401
    assert renewed["refreshToken"] != tokens["refreshToken"]
    logout = await api.post("/api/v1/auth/logout", json={"refreshToken": renewed["refreshToken"]})
    assert logout.status_code == 204
