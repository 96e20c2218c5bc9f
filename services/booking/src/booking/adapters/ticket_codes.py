"""Ticket codes: what the QR shows, verifiable offline with a public key alone.

    GT1.<key id>.<body>

- `GT1` names this format.
- The key id is the first 8 hex digits, upper case, of the SHA-256 of the raw public key.
- The body is base32 (RFC 4648, no padding) of 96 bytes: ticket id (16), event id (16)
  and the Ed25519 signature (64, RFC 8032) of everything before it: `GT1.<key id>.`
  as ASCII followed by the two ids.

All of it is from the alphanumeric set of QR codes (ISO/IEC 18004): at 5.5 bits a
character the 167 characters make a smaller symbol than base64's 141 at 8 bits.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

FORMAT = "GT1"
_ID_BYTES = 16
_CLAIM_BYTES = 2 * _ID_BYTES
_BODY_BYTES = _CLAIM_BYTES + 64


class InvalidTicketCode(ValueError):
    """The code was not signed by any of the keys."""


@dataclass(frozen=True)
class TicketClaims:
    """What a genuine code says."""

    ticket_id: UUID
    event_id: UUID
    key_id: str


def key_id_of(public_key: bytes) -> str:
    """Return the id of a raw Ed25519 public key (32 bytes)."""
    return hashlib.sha256(public_key).hexdigest()[:8].upper()


class TicketSigner:
    """Signs with one key; knows the public keys of all codes that are still around.

    `seed` is the raw 32-byte private key. `retired` are public keys, newest first,
    whose codes people still have in their pockets.
    """

    def __init__(self, seed: bytes, retired: Sequence[bytes] = ()) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._key.public_key().public_bytes_raw()
        self._prefix = f"{FORMAT}.{key_id_of(public)}."
        self.public_keys = {key_id_of(key): key for key in (public, *retired)}
        """Raw public keys by key id, newest first."""

    def sign(self, ticket_id: UUID, event_id: UUID) -> str:
        """Return the code of a ticket."""
        claims = ticket_id.bytes + event_id.bytes
        signature = self._key.sign(self._prefix.encode() + claims)
        return self._prefix + base64.b32encode(claims + signature).decode().rstrip("=")


def verify(code: str, keys: Mapping[str, bytes]) -> TicketClaims:
    """Read a code with nothing but public keys (raw, by key id).

    Raises:
        InvalidTicketCode: not of this format, an unknown key, or not what was signed.
    """
    kind, _, rest = code.partition(".")
    key_id, _, body = rest.partition(".")
    key = keys.get(key_id)
    if kind != FORMAT or key is None:
        raise InvalidTicketCode
    try:
        raw = base64.b32decode(body + "=" * (-len(body) % 8))
    except ValueError as error:  # not base32, or not even ASCII
        raise InvalidTicketCode from error
    # One ticket has one code: spare bits at the end of base32 must not make others.
    if len(raw) != _BODY_BYTES or base64.b32encode(raw).decode().rstrip("=") != body:
        raise InvalidTicketCode
    claims, signature = raw[:_CLAIM_BYTES], raw[_CLAIM_BYTES:]
    try:
        signed = f"{FORMAT}.{key_id}.".encode() + claims
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except InvalidSignature as error:
        raise InvalidTicketCode from error
    return TicketClaims(UUID(bytes=claims[:_ID_BYTES]), UUID(bytes=claims[_ID_BYTES:]), key_id)
