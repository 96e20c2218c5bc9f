"""A gateway in this process, in front of scripted services on a real port."""

import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from gateway.bootstrap import open_components
from gateway.config import GatewaySettings
from gateway.http.app import create_app
from goticket.booking.v1 import booking_pb2
from goticket.catalog.v1 import catalog_pb2
from goticket.identity.v1 import identity_pb2
from goticket_testing.rpc_keys import rpc_key
from goticket_testing.scripted import ScriptedBackends
from jwt.algorithms import OKPAlgorithm

ISSUER = "https://goticket.test"
AUDIENCE = "goticket"
KID = "0123456789abcdef"
EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
TYPE = "0197c0de-7a11-7b00-8a00-0000000000a1"
OTHER_TYPE = "0197c0de-7a11-7b00-8a00-0000000000a2"
BOOKING = "0197c0de-7a11-7b00-8a00-0000000000b1"
TICKET = "0197c0de-7a11-7b00-8a00-0000000000c1"
USER = "0197c0de-7a11-7b00-8a00-0000000000d1"
DEAD_REDIS = "redis://127.0.0.1:1/0"
DEAD_BROKER = "amqp://guest:guest@127.0.0.1:1/"

Token = Callable[..., str]


@pytest.fixture(scope="session")
def signing_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture(scope="session")
def jwks(signing_key: Ed25519PrivateKey) -> dict[str, Any]:
    public = OKPAlgorithm.to_jwk(signing_key.public_key(), as_dict=True)
    return {"keys": [{**public, "kid": KID, "use": "sig", "alg": "EdDSA"}]}


@pytest.fixture(scope="session")
def token(signing_key: Ed25519PrivateKey) -> Token:
    """Make an access token; keyword arguments replace claims, `kid` the key id."""

    def make(*roles: str, kid: str | None = KID, **claims: Any) -> str:
        usual = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": USER,
            "iat": int(time.time()),
            "exp": int(time.time()) + 900,
            "jti": "1",
            "email": "ada@goticket.test",
            "name": "Ada Lovelace",
            "roles": ["user", *roles],
        }
        payload = {name: value for name, value in (usual | claims).items() if value is not None}
        return jwt.encode(payload, signing_key, "EdDSA", {"kid": kid} if kid else None)

    return make


@pytest.fixture
def bearer(token: Token) -> Callable[..., dict[str, str]]:
    """Make the headers of a caller with these roles."""

    def make(*roles: str, **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {token(*roles, **claims)}"}

    return make


@pytest.fixture
def event() -> catalog_pb2.Event:
    event = catalog_pb2.Event(
        id=EVENT,
        organizer_id=USER,
        name="Metallica Live",
        description="Loud",
        location="Warsaw",
        currency="EUR",
        timezone="Europe/Warsaw",
        status=catalog_pb2.EVENT_STATUS_PUBLISHED,
        version=3,
        ticket_types=[
            catalog_pb2.TicketType(
                id=TYPE, name="Golden circle", price=45000, capacity=200, max_per_booking=10
            ),
            catalog_pb2.TicketType(
                id=OTHER_TYPE, name="Standing", price=25000, capacity=800, max_per_booking=10
            ),
        ],
    )
    event.starts_at.FromJsonString("2030-06-01T17:00:00Z")
    event.ends_at.FromJsonString("2030-06-01T21:00:00Z")
    return event


@pytest.fixture
def left() -> booking_pb2.EventAvailability:
    kinds = [
        booking_pb2.TicketTypeAvailability(ticket_type_id=TYPE, available=7),
        booking_pb2.TicketTypeAvailability(ticket_type_id=OTHER_TYPE, available=90),
    ]
    return booking_pb2.EventAvailability(event_id=EVENT, available=97, ticket_types=kinds)


@pytest.fixture
def ticket() -> booking_pb2.Ticket:
    ticket = booking_pb2.Ticket(
        id=TICKET,
        booking_id=BOOKING,
        event_id=EVENT,
        ticket_type_id=TYPE,
        ticket_type_name="Golden circle",
        code="GT1.c2lnbmVk.Y29kZQ",
        status=booking_pb2.TICKET_STATUS_VALID,
        holder_name="Ada Łovelace 🎸",
        event=booking_pb2.EventSnapshot(
            id=EVENT, name="Metallica Live", location="Warsaw", timezone="Europe/Warsaw"
        ),
    )
    ticket.event.starts_at.FromJsonString("2030-06-01T17:00:00Z")
    ticket.event.ends_at.FromJsonString("2030-06-01T21:00:00Z")
    return ticket


@pytest.fixture
def booking(ticket: booking_pb2.Ticket) -> booking_pb2.Booking:
    booking = booking_pb2.Booking(
        id=BOOKING,
        event_id=EVENT,
        user_id=USER,
        buyer_email="ada@goticket.test",
        buyer_name="Ada Lovelace",
        status=booking_pb2.BOOKING_STATUS_CONFIRMED,
        items=[
            booking_pb2.BookingItem(
                ticket_type_id=TYPE,
                ticket_type_name="Golden circle",
                quantity=2,
                unit_price=45000,
            )
        ],
        total=90000,
        currency="EUR",
        tickets=[ticket, ticket],
        version=1,
    )
    booking.created_at.FromJsonString("2029-01-01T00:00:00.5Z")
    return booking


@pytest.fixture
async def backends(jwks: dict[str, Any]) -> AsyncIterator[ScriptedBackends]:
    async with ScriptedBackends().serving() as backends:
        backends.answers["GetJwks"] = identity_pb2.GetJwksResponse(jwks_json=json.dumps(jwks))
        backends.answers["GetAvailability"] = booking_pb2.GetAvailabilityResponse()
        yield backends


@pytest.fixture
def settings(backends: ScriptedBackends) -> GatewaySettings:
    return GatewaySettings(
        listen="127.0.0.1:0",
        identity_target=backends.target,
        catalog_target=backends.target,
        booking_target=backends.target,
        rpc_key=rpc_key("gateway"),
        redis_url=DEAD_REDIS,
        amqp_url=DEAD_BROKER,
        issuer=ISSUER,
        audience=AUDIENCE,
        cors_origins="https://shop.goticket.test",
    )


@pytest.fixture
async def app(settings: GatewaySettings) -> AsyncIterator[FastAPI]:
    async with open_components(settings) as parts:
        parts.health.ready = True
        yield create_app(
            parts,
            max_body_bytes=settings.max_body_bytes,
            max_in_flight=settings.max_in_flight,
            cors_origins=settings.origins,
        )


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client
