"""Public keys to verify access tokens and ticket codes without a call to this API."""

import base64
from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Response
from goticket.booking.v1 import booking_pb2 as pb
from pydantic import BaseModel, ConfigDict, Field

from gateway.rest.dependencies import Booking, Keys

router = APIRouter(prefix="/.well-known", tags=["keys"])

PUBLIC = "public, max-age=300"


class PublicKey(BaseModel):
    """A JSON Web Key (RFC 8037: OKP, Ed25519)."""

    model_config = ConfigDict(extra="allow")

    kty: str = Field(examples=["OKP"])
    crv: str = Field(examples=["Ed25519"])
    x: str = Field(description="The key, base64url.")
    kid: str
    use: str = "sig"
    alg: str = "EdDSA"


class KeySet(BaseModel):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[PublicKey]


@router.get("/jwks.json", summary="Keys of access tokens", response_model=KeySet)
async def get_jwks(response: Response, keys: Keys) -> dict[str, Any]:
    """Answered from the cached keys while identity is down."""
    response.headers["Cache-Control"] = PUBLIC
    return await keys.document()


@router.get("/ticket-keys.json", summary="Keys of ticket codes")
async def get_ticket_keys(response: Response, booking: Booking) -> KeySet:
    """The keys to verify tickets offline; `kid` is the key id in the code."""
    keys = ticket_public_keys(await booking.ticket_keys())
    response.headers["Cache-Control"] = PUBLIC
    return KeySet(keys=keys)


def ticket_public_keys(keys: Iterable[pb.TicketKey]) -> list[PublicKey]:
    """Return booking's keys as JSON Web Keys."""
    return [
        PublicKey(
            kty="OKP",
            crv="Ed25519",
            x=base64.urlsafe_b64encode(key.public_key).decode().rstrip("="),
            kid=key.key_id,
        )
        for key in keys
    ]
