"""Access tokens: valid ones pass without a call to identity, others are rejected."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gateway.http.problems import Problem
from gateway.security.authentication import TokenVerifier
from gateway.security.key_ring import REFRESH_SECONDS, RETRY_SECONDS, KeyRing
from goticket.identity.v1 import identity_pb2 as pb
from goticket_platform.caching import CacheBudget
from goticket_platform.rpc.errors import RemoteError
from goticket_testing.scripted import ScriptedBackends
from grpc import StatusCode

ISSUER = "https://goticket.test"
USER = "0197c0de-7a11-7b00-8a00-0000000000d1"

Token = Callable[..., str]


@pytest.fixture(autouse=True)
def me(backends: ScriptedBackends) -> None:
    backends.answers["GetUser"] = pb.GetUserResponse(user=pb.User(id=USER))


async def get_me(client: httpx.AsyncClient, authorization: str | None) -> httpx.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    return await client.get("/api/v1/users/me", headers=headers)


async def test_keys_are_fetched_once_for_many_callers(
    client: httpx.AsyncClient, backends: ScriptedBackends, token: Token
) -> None:
    for number in range(5):
        answer = await get_me(client, f"Bearer {token(jti=str(number))}")
        assert answer.status_code == 200
    assert len(backends.requests["GetJwks"]) == 1


@pytest.mark.parametrize("header", ["bearer {}", "BEARER {}", "Bearer  {}"])
async def test_the_scheme_is_read_in_any_case(
    client: httpx.AsyncClient, token: Token, header: str
) -> None:
    assert (await get_me(client, header.format(token()))).status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "token"])
async def test_a_header_without_a_token_is_unauthenticated(
    client: httpx.AsyncClient, header: str
) -> None:
    answer = await get_me(client, header)
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthenticated")


async def test_an_expired_token_is_reported_as_expired(
    client: httpx.AsyncClient, token: Token
) -> None:
    answer = await get_me(client, f"Bearer {token(exp=int(time.time()) - 1)}")
    assert (answer.status_code, answer.json()["error"]) == (401, "token_expired")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://elsewhere.test"},
        {"aud": "others"},
        {"sub": None},
        {"sub": "not-a-uuid"},
        {"exp": None},
        {"iss": None},
        {"aud": None},
        {"roles": 7},
        {"kid": None},
        {"kid": "unknown"},
    ],
)
async def test_a_token_with_wrong_claims_is_invalid(
    client: httpx.AsyncClient, token: Token, claims: dict[str, Any]
) -> None:
    answer = await get_me(client, f"Bearer {token(**claims)}")
    assert (answer.status_code, answer.json()["error"]) == (401, "token_invalid")


async def test_a_tampered_token_is_invalid(client: httpx.AsyncClient, token: Token) -> None:
    head, body, signature = token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["roles"] = ["admin"]
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    for bad in (f"{head}.{forged}.{signature}", f"{head}.{body}.", "a.b.c", "x" * 5000, "{}", "é"):
        answer = await client.get(
            "/api/v1/users/me", headers={b"Authorization": f"Bearer {bad}".encode()}
        )
        assert (answer.status_code, answer.json()["error"]) == (401, "token_invalid")


async def test_other_algorithms_are_invalid(
    client: httpx.AsyncClient, token: Token, jwks: dict[str, Any]
) -> None:
    claims = jwt.decode(token(), options={"verify_signature": False})
    headers = {"kid": jwks["keys"][0]["kid"]}
    unsigned = jwt.encode(claims, "", "none", headers)
    # The public key used as a shared secret: an algorithm confusion attack.
    confused = jwt.encode(claims, jwks["keys"][0]["x"], "HS256", headers)
    stranger = jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA", headers)
    for bad in (unsigned, confused, stranger):
        answer = await get_me(client, f"Bearer {bad}")
        assert (answer.status_code, answer.json()["error"]) == (401, "token_invalid")


async def test_an_invalid_token_is_rejected_also_where_none_is_required(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    answer = await client.get("/api/v1/events", headers={"Authorization": "Bearer bad"})
    assert answer.status_code == 401
    assert backends.was_not_called("ListEvents")


async def test_the_key_set_is_published_unchanged(
    client: httpx.AsyncClient, jwks: dict[str, Any]
) -> None:
    answer = await client.get("/.well-known/jwks.json")
    assert answer.json() == jwks


class Identity:
    """Returns a key set, or is unavailable."""

    def __init__(self, jwks: dict[str, Any]) -> None:
        self.jwks: dict[str, Any] | None = jwks
        self.fetches = 0
        self.now = 1000.0

    async def fetch(self) -> str:
        self.fetches += 1
        if self.jwks is None:
            raise RemoteError(StatusCode.UNAVAILABLE, "unavailable", "away")
        return json.dumps(self.jwks)

    def clock(self) -> float:
        return self.now


async def test_unknown_key_ids_cause_no_load_on_identity(jwks: dict[str, Any]) -> None:
    identity = Identity(jwks)
    keys = KeyRing(identity.fetch, identity.clock)
    for number in range(20):
        assert await keys.key(f"made-up-{number}") is None
    assert identity.fetches == 1
    identity.now += REFRESH_SECONDS
    assert await keys.key("made-up") is None
    assert identity.fetches == 2


async def test_a_new_key_is_fetched_and_old_keys_outlive_an_outage_of_identity(
    jwks: dict[str, Any],
) -> None:
    identity = Identity({"keys": []})
    identity.jwks = jwks
    keys = KeyRing(identity.fetch, identity.clock)
    kid = jwks["keys"][0]["kid"]
    assert await keys.key(kid)
    identity.jwks = {"keys": [*jwks["keys"], {**jwks["keys"][0], "kid": "new"}]}
    identity.now += REFRESH_SECONDS
    assert await keys.key("new")
    identity.jwks = None
    identity.now += 10 * REFRESH_SECONDS
    assert await keys.key("newer") is None
    assert await keys.key(kid)
    assert len((await keys.document())["keys"]) == 2


async def test_without_keys_requests_fail_at_once_as_unavailable(
    jwks: dict[str, Any],
) -> None:
    identity = Identity(jwks)
    identity.jwks = None
    keys = KeyRing(identity.fetch, identity.clock)
    for _ in range(5):
        with pytest.raises(RemoteError):
            await keys.key("any")
    assert identity.fetches == 1
    identity.now += RETRY_SECONDS
    identity.jwks = jwks
    assert await keys.key(jwks["keys"][0]["kid"])


async def test_a_cached_token_still_expires(jwks: dict[str, Any], token: Token) -> None:
    identity = Identity(jwks)
    now = time.time()
    verifier = TokenVerifier(
        KeyRing(identity.fetch, identity.clock),
        CacheBudget(1 << 20),
        issuer=ISSUER,
        audience="goticket",
        now=lambda: now,
    )
    text = token("organizer")
    caller = await verifier.verify(text)
    assert caller.roles == {"user", "organizer"}
    assert await verifier.verify(text) is caller
    now += 1000
    with pytest.raises(Problem) as expired:
        await verifier.verify(text)
    assert expired.value.code == "token_expired"
