"""A device at the door works offline: public keys verify codes, deltas bring void tickets."""

import base64
from dataclasses import dataclass, field
from uuid import UUID

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from goticket_testing.clients import ApiUser, Json, create_booking, create_event

ID_BYTES = 16
SIGNED_BYTES = 2 * ID_BYTES


def padded(text: str, size: int) -> str:
    """Complete an encoded text to a multiple of `size` characters."""
    return text + "=" * (-len(text) % size)


@dataclass
class DoorDevice:
    """Knows one event's list and keys; decides without a call, as ADR 0006 describes."""

    event_id: str
    version: int = 0
    keys: dict[str, Ed25519PublicKey] = field(default_factory=dict)
    void: set[str] = field(default_factory=set)
    holders: dict[str, str] = field(default_factory=dict)

    def apply(self, answer: Json) -> None:
        """Take over a whole list or a delta."""
        for key in answer["publicKeys"]:
            assert (key["kty"], key["crv"], key["alg"]) == ("OKP", "Ed25519", "EdDSA")
            raw = base64.urlsafe_b64decode(padded(key["x"], 4))
            self.keys[key["kid"]] = Ed25519PublicKey.from_public_bytes(raw)
        for ticket in answer["valid"]:
            self.void.discard(ticket["id"])
            self.holders[ticket["id"]] = ticket["holderName"]
        self.void |= {ticket["id"] for ticket in answer["void"]}
        self.version = answer["version"]

    def accepts(self, code: str) -> bool:
        """Decide about a code that was scanned."""
        prefix, _, body = code.rpartition(".")
        key = self.keys.get(prefix.removeprefix("GT1."))
        claims = base64.b32decode(padded(body, 8))
        signed, signature = claims[:SIGNED_BYTES], claims[SIGNED_BYTES:]
        ticket_id, event_id = UUID(bytes=signed[:ID_BYTES]), UUID(bytes=signed[ID_BYTES:])
        if key is None or str(event_id) != self.event_id:
            return False
        try:
            key.verify(signature, f"{prefix}.".encode() + signed)
        except InvalidSignature:
            return False
        return str(ticket_id) not in self.void


async def test_an_offline_device_refuses_a_ticket_after_the_delta_with_its_cancellation(
    api: httpx.AsyncClient, organizer: ApiUser, buyer: ApiUser
) -> None:
    event = await create_event(api, organizer)
    booked = (await create_booking(api, buyer, event["id"], quantity=2)).json()
    kept = (await create_booking(api, buyer, event["id"], quantity=1)).json()
    path = f"/api/v1/events/{event['id']}/check-in-list"
    device = DoorDevice(event["id"])
    whole = await api.get(path, headers=organizer.headers)
    assert whole.status_code == 200, whole.text
    device.apply(whole.json())
    codes = [ticket["code"] for ticket in booked["tickets"]]
    assert [device.accepts(code) for code in codes] == [True, True]
    assert set(device.holders.values()) == {buyer.name}
    assert not any(code in whole.text for code in codes)
    forged = codes[0][:-8] + ("A" if codes[0][-8] != "A" else "B") + codes[0][-7:]
    assert not device.accepts(forged)

    known = {**organizer.headers, "If-None-Match": whole.headers["ETag"]}
    assert (await api.get(path, headers=known)).status_code == 304

    cancelled = await api.post(f"/api/v1/bookings/{booked['id']}/cancel", headers=buyer.headers)
    assert cancelled.status_code == 200, cancelled.text
    changed = await api.get(path, params={"since": device.version}, headers=known)
    assert changed.status_code == 200
    delta = changed.json()
    assert {ticket["id"] for ticket in delta["void"]} == {each["id"] for each in booked["tickets"]}
    assert delta["valid"] == []
    device.apply(delta)
    assert [device.accepts(code) for code in codes] == [False, False]
    assert device.accepts(kept["tickets"][0]["code"])


async def test_a_void_ticket_has_no_code_anywhere(
    api: httpx.AsyncClient, organizer: ApiUser, buyer: ApiUser
) -> None:
    event = await create_event(api, organizer)
    path = f"/api/v1/events/{event['id']}/bookings"
    key = {**buyer.headers, "Idempotency-Key": f"void-{event['id']}"}
    booked = (await api.post(path, json={"quantity": 1}, headers=key)).json()
    [ticket] = booked["tickets"]
    code = ticket["code"]
    ticket_path = f"/api/v1/tickets/{ticket['id']}"
    cancelled = await api.post(f"/api/v1/bookings/{booked['id']}/cancel", headers=buyer.headers)
    replayed = await api.post(path, json={"quantity": 1}, headers=key)
    assert replayed.status_code == 201
    assert replayed.headers["Idempotency-Replayed"] == "true"
    assert replayed.json()["id"] == booked["id"]
    booking_path = f"/api/v1/bookings/{booked['id']}"
    reads = (booking_path, "/api/v1/bookings", "/api/v1/tickets", ticket_path)
    answers = [cancelled, replayed]
    answers += [await api.get(address, headers=buyer.headers) for address in reads]
    assert [answer.status_code for answer in answers] == [200, 201, 200, 200, 200, 200]
    assert all(ticket["id"] in answer.text for answer in answers)
    assert not any(code in answer.text or '"code"' in answer.text for answer in answers)
    for drawing in ("qr.svg", "ticket.pdf"):
        refused = await api.get(f"{ticket_path}/{drawing}", headers=buyer.headers)
        assert (refused.status_code, refused.json()["error"]) == (409, "ticket_void")
