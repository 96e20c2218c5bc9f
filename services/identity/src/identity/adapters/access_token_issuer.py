"""Issues access tokens: JWTs signed with Ed25519 (RFC 8037). Publishes the verifying keys."""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from identity.domain.user import User


class Ed25519AccessTokenIssuer:
    """Signs with one key; publishes it and the retired keys, whose tokens are still valid."""

    def __init__(
        self,
        *,
        seed: bytes,
        retired: Sequence[bytes],
        issuer: str,
        audience: str,
        lifetime: timedelta,
        new_id: Callable[[], UUID],
    ) -> None:
        """Take the 32-byte seed of the signing key and raw retired public keys."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._key.public_key().public_bytes_raw()
        self._key_id = key_id(public)
        self._issuer = issuer
        self._audience = audience
        self._lifetime = lifetime
        self._new_id = new_id
        # dict: a key that is listed twice, or retired and used again, is published once.
        self._jwks_json = json.dumps(
            {"keys": [_jwk(key) for key in dict.fromkeys([public, *retired])]}
        )

    @property
    def lifetime(self) -> timedelta:
        """The time that a token is valid."""
        return self._lifetime

    @property
    def jwks_json(self) -> str:
        """Public keys as JWKS text (RFC 7517)."""
        return self._jwks_json

    def issue(self, user: User, now: datetime) -> str:
        """Sign a token that is valid from `now`."""
        issued_at = int(now.timestamp())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user.id),
            "iat": issued_at,
            "exp": issued_at + int(self._lifetime.total_seconds()),
            "jti": str(self._new_id()),
            "email": user.email,
            "name": user.name,
            "roles": user.role_names,
        }
        return jwt.encode(
            claims,
            self._key,
            algorithm="EdDSA",
            headers={"kid": self._key_id},
            json_encoder=_Utf8Encoder,
        )


class _Utf8Encoder(json.JSONEncoder):
    """Writes letters as they are. Escaped, a long name makes a token that gateways refuse."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**(arguments | {"ensure_ascii": False}))


def key_id(public: bytes) -> str:
    """Return the id of a raw public key: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


def _jwk(public: bytes) -> dict[str, str]:
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": base64.urlsafe_b64encode(public).rstrip(b"=").decode(),
        "kid": key_id(public),
        "use": "sig",
        "alg": "EdDSA",
    }
