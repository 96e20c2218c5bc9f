"""People, clients and polling for tests that know the system only by its public doors."""

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
class Person:
    """Somebody with a valid access token."""

    id: str
    email: str
    name: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """The header that proves who it is."""
        return {"Authorization": f"Bearer {self.token}"}


@dataclass
class People:
    """Makes people by signing their tokens, as identity would; a hundred cost no bcrypt."""

    signing_key: str
    issuer: str
    audience: str
    _key: Ed25519PrivateKey = field(init=False)
    _kid: str = field(init=False)

    def __post_init__(self) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(self.signing_key))
        self._kid = sha256(self._key.public_key().public_bytes_raw()).hexdigest()[:16]

    def person(self, *roles: str, **claims: object) -> Person:
        """Return a new person with these roles besides "user"; `claims` override the token's."""
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
        return Person(identity, email, str(body["name"]), token)


def in_days(days: float) -> str:
    """Return the instant so many days from now, RFC 3339."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat().replace("+00:00", "Z")


def event_body(**changes: object) -> Json:
    """Return a valid body for POST /events with some fields changed."""
    return {
        "name": "Metallica Live",
        "price": 25000,
        "startAt": in_days(30),
        "endAt": in_days(30.125),
        "capacity": 1000,
        **changes,
    }


async def create_event(api: httpx.AsyncClient, organizer: Person, **changes: object) -> Json:
    """Create an event and return it."""
    answer = await api.post("/api/v1/events", json=event_body(**changes), headers=organizer.headers)
    assert answer.status_code == 201, answer.text
    event: Json = answer.json()
    return event


async def book(
    api: httpx.AsyncClient, buyer: Person, event_id: str, *, key: str | None = None, **body: object
) -> httpx.Response:
    """Ask for a booking; one ticket unless `body` says otherwise."""
    return await api.post(
        f"/api/v1/events/{event_id}/bookings",
        json=body or {"quantity": 1},
        headers={**buyer.headers, "Idempotency-Key": key or str(uuid.uuid4())},
    )


async def eventually(
    probe: Callable[[], Awaitable[ResultT | None]], seconds: float = 60
) -> ResultT:
    """Return what `probe` returns as soon as it is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if result := await probe():
            return result
        assert time.monotonic() < deadline, f"nothing within {seconds} s"
        await asyncio.sleep(0.1)


@dataclass(frozen=True)
class Inbox:
    """The local stack's mailbox, through its HTTP API."""

    client: httpx.AsyncClient

    async def to(self, address: str) -> list[Json]:
        """Return the messages to an address."""
        answer = await self.client.get(
            "/api/v1/search", params={"query": f"to:{address}", "limit": 1000}
        )
        answer.raise_for_status()
        messages: list[Json] = answer.json()["messages"]
        return messages

    async def counts(self) -> dict[str, int]:
        """Return how many messages each address got."""
        counts: dict[str, int] = {}
        start = 0
        while True:
            answer = await self.client.get(
                "/api/v1/messages", params={"start": start, "limit": 1000}
            )
            page = answer.json()["messages"]
            for message in page:
                address = message["To"][0]["Address"]
                counts[address] = counts.get(address, 0) + 1
            start += len(page)
            if not page:
                return counts

    async def raw(self, identifier: str) -> bytes:
        """Return a message as it came over SMTP."""
        return (await self.client.get(f"/api/v1/message/{identifier}/raw")).content
