"""Shared by unit and integration tests: a reader of ticket codes that uses other libraries."""

import base64
from collections.abc import Callable, Mapping
from typing import NamedTuple
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ID_BYTES, SIGNATURE_BYTES = 16, 64


class TicketClaims(NamedTuple):
    """The content of a valid code."""

    ticket_id: UUID
    event_id: UUID
    key_id: str


ReadTicketCode = Callable[[str, Mapping[str, bytes]], TicketClaims | None]


def read_ticket_code(code: str, keys: Mapping[str, bytes]) -> TicketClaims | None:
    """Verify a code with public keys (raw, by key id), as a scanner does; None if invalid."""
    kind, _, rest = code.partition(".")
    key_id, _, body = rest.partition(".")
    if kind != "GT1" or key_id not in keys:
        return None
    try:
        raw = base64.b32decode(body + "=" * (-len(body) % 8))
        claims, signature = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
        signed = f"{kind}.{key_id}.".encode() + claims
        Ed25519PublicKey.from_public_bytes(keys[key_id]).verify(signature, signed)
    except (ValueError, InvalidSignature):
        return None
    # A ticket has one code: other spare bits at the end of base32 are invalid.
    if base64.b32encode(raw).decode().rstrip("=") != body or len(claims) != 2 * ID_BYTES:
        return None
    return TicketClaims(UUID(bytes=claims[:ID_BYTES]), UUID(bytes=claims[ID_BYTES:]), key_id)


@pytest.fixture(name="read_ticket_code", scope="session")
def _read_ticket_code() -> ReadTicketCode:
    return read_ticket_code
