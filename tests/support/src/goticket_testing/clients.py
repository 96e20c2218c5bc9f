"""Users, HTTP calls and polling for tests that use the system through its public API."""

import asyncio
import base64
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeVar

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Json = dict[str, Any]
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class ApiUser:
    """An account with a valid access token."""

    id: str
    email: str
    name: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """The Authorization header of this user, who has an address of their own."""
        address = address_header(int(uuid.UUID(self.id)))
        return {"Authorization": f"Bearer {self.token}", **address}


def address_header(number: int) -> dict[str, str]:
    """Return the header that names a client's address, for a gateway that trusts this machine.

    Clients with an address each do not share rate limits. The addresses are IPv6 networks of
    documentation (RFC 3849).
    """
    parts = (number % 2**32 >> 16, number % 2**16)
    return {"X-Forwarded-For": "2001:db8:{:x}:{:x}::1".format(*parts)}


@dataclass
class ApiUserFactory:
    """Creates users by signing their tokens as identity would, without the cost of bcrypt."""

    signing_key: str
    issuer: str
    audience: str
    _key: Ed25519PrivateKey = field(init=False)
    _kid: str = field(init=False)

    def __post_init__(self) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(self.signing_key))
        self._kid = sha256(self._key.public_key().public_bytes_raw()).hexdigest()[:16]

    def create(self, *roles: str, **claims: object) -> ApiUser:
        """Return a new user with these roles and "user"; `claims` replace the token's claims."""
        identity = str(uuid.uuid4())
        email = f"{identity[:13]}@people.example"
        now = int(time.time())
        body = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": identity,
            "iat": now,
            "exp": now + 900,
            "jti": str(uuid.uuid4()),
            "email": email,
            "name": f"Person {identity[:8]}",
            "roles": sorted({"user", *roles}),
            **claims,
        }
        token = jwt.encode(body, self._key, algorithm="EdDSA", headers={"kid": self._kid})
        return ApiUser(identity, email, str(body["name"]), token)


def in_days(days: float) -> str:
    """Return the RFC 3339 time that is `days` days from now."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat().replace("+00:00", "Z")


def event_body(**changes: object) -> Json:
    """Return a valid body for POST /events with some fields replaced."""
    return {
        "name": "Metallica Live",
        "price": 25000,
        "startAt": in_days(30),
        "endAt": in_days(30.125),
        "capacity": 1000,
        **changes,
    }


async def create_event(api: httpx.AsyncClient, organizer: ApiUser, **changes: object) -> Json:
    """Create an event and return it."""
    response = await api.post(
        "/api/v1/events", json=event_body(**changes), headers=organizer.headers
    )
    assert response.status_code == 201, response.text
    event: Json = response.json()
    return event


async def create_booking(
    api: httpx.AsyncClient, buyer: ApiUser, event_id: str, *, key: str | None = None, **body: object
) -> httpx.Response:
    """Request a booking of one ticket, or of what `body` says; the default key is random."""
    return await api.post(
        f"/api/v1/events/{event_id}/bookings",
        json=body or {"quantity": 1},
        headers={**buyer.headers, "Idempotency-Key": key or str(uuid.uuid4())},
    )


async def eventually(
    probe: Callable[[], Awaitable[ResultT | None]], seconds: float = 60
) -> ResultT:
    """Return the first true result of `probe`; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if result := await probe():
            return result
        assert time.monotonic() < deadline, f"no result within {seconds} s"
        await asyncio.sleep(0.1)


async def wait_for_availability(
    api: httpx.AsyncClient, event_id: str, available: int, seconds: float = 10
) -> None:
    """Wait until an event has that many tickets available; cached answers may be a second old."""

    async def has_availability() -> bool:
        response = await api.get(f"/api/v1/events/{event_id}/availability")
        return bool(response.json()["available"] == available)

    await eventually(has_availability, seconds)


@dataclass(frozen=True)
class Mailbox:
    """The HTTP API of the local stack's mailbox."""

    client: httpx.AsyncClient

    async def messages_to(self, address: str) -> list[Json]:
        """Return the e-mails to an address."""
        response = await self.client.get(
            "/api/v1/search", params={"query": f"to:{address}", "limit": 1000}
        )
        response.raise_for_status()
        messages: list[Json] = response.json()["messages"]
        return messages

    async def counts(self) -> dict[str, int]:
        """Return the number of e-mails by address."""
        counts: dict[str, int] = {}
        start = 0
        while True:
            response = await self.client.get(
                "/api/v1/messages", params={"start": start, "limit": 1000}
            )
            page = response.json()["messages"]
            for message in page:
                address = message["To"][0]["Address"]
                counts[address] = counts.get(address, 0) + 1
            start += len(page)
            if not page:
                return counts

    async def raw(self, identifier: str) -> bytes:
        """Return an e-mail as SMTP delivered it."""
        return (await self.client.get(f"/api/v1/message/{identifier}/raw")).content
