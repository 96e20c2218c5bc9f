"""Access tokens, verified with the published keys."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from goticket_kernel.text import PERSON_NAME
from identity.adapters.access_token_issuer import Ed25519AccessTokenIssuer, key_id
from identity.domain.user import Role, User

SEED = bytes(range(32))
RETIRED = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
USER = User(
    UUID(int=7),
    "ada@goticket.example",
    "Ada Lovelace",
    frozenset({Role.ADMIN, Role.USER}),
    datetime(2030, 1, 1, tzinfo=UTC),
)


def access_tokens(seed: bytes = SEED, retired: tuple[bytes, ...] = ()) -> Ed25519AccessTokenIssuer:
    return Ed25519AccessTokenIssuer(
        seed=seed,
        retired=retired,
        issuer="https://goticket.example",
        audience="goticket",
        lifetime=timedelta(minutes=15),
        new_id=uuid4,
    )


def verify(token: str, jwks_json: str) -> dict[str, object]:
    keys = jwt.PyJWKSet.from_json(jwks_json)
    claims: dict[str, object] = jwt.decode(
        token,
        keys[jwt.get_unverified_header(token)["kid"]],
        algorithms=["EdDSA"],
        audience="goticket",
        issuer="https://goticket.example",
        options={"require": ["exp", "iat", "sub", "jti"]},
    )
    return claims


MAX_TOKEN_CHARACTERS = 4096
"""The gateway refuses longer tokens."""


@pytest.mark.parametrize("name", ["\U0001f3b8" * 200, "\u0142\u0316" * 200, "\u5468" * 200])
def test_the_longest_name_and_address_make_a_token_that_gateways_accept(name: str) -> None:
    tokens = access_tokens()
    longest = replace(
        USER,
        name=PERSON_NAME.prepare(name),
        email="a" * 64 + "@" + ".".join(["b" * 61] * 2 + ["c" * 57, "example"]),
        roles=frozenset(Role),
    )
    token = tokens.issue(longest, datetime.now(UTC))
    assert len(token) < MAX_TOKEN_CHARACTERS
    assert verify(token, tokens.jwks_json)["name"] == longest.name


def test_a_token_verifies_against_the_published_keys() -> None:
    tokens = access_tokens(retired=(RETIRED,))
    now = datetime.now(UTC)
    claims = verify(tokens.issue(USER, now), tokens.jwks_json)
    assert claims["sub"] == str(USER.id)
    assert claims["email"] == USER.email
    assert claims["name"] == USER.name
    assert claims["roles"] == ["user", "admin"]
    assert claims["iat"] == int(now.timestamp())
    assert claims["exp"] == int(now.timestamp()) + 900
    assert claims["jti"] != verify(tokens.issue(USER, now), tokens.jwks_json)["jti"]


def test_a_token_expires() -> None:
    tokens = access_tokens()
    token = tokens.issue(USER, datetime.now(UTC) - timedelta(minutes=16))
    with pytest.raises(jwt.ExpiredSignatureError):
        verify(token, tokens.jwks_json)


def test_a_token_with_changed_claims_is_rejected() -> None:
    tokens = access_tokens()
    header, claims, signature = tokens.issue(USER, datetime.now(UTC)).split(".")
    forged = json.loads(base64.urlsafe_b64decode(claims + "=="))
    forged["sub"] = str(uuid4())
    claims = base64.urlsafe_b64encode(json.dumps(forged).encode()).rstrip(b"=").decode()
    with pytest.raises(jwt.InvalidSignatureError):
        verify(f"{header}.{claims}.{signature}", tokens.jwks_json)


def test_tokens_of_a_retired_key_still_verify() -> None:
    old = access_tokens(seed=bytes(32))
    new = access_tokens(retired=(RETIRED,))
    assert verify(old.issue(USER, datetime.now(UTC)), new.jwks_json)["sub"] == str(USER.id)


def test_the_published_keys_have_ids_and_are_listed_once() -> None:
    tokens = access_tokens(seed=bytes(32), retired=(RETIRED, RETIRED))
    (key,) = json.loads(tokens.jwks_json)["keys"]
    assert key.keys() == {"kty", "crv", "x", "kid", "use", "alg"}
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("OKP", "Ed25519", "EdDSA", "sig")
    assert key["kid"] == key_id(RETIRED)
    assert base64.urlsafe_b64decode(key["x"] + "=") == RETIRED
