"""Accounts, sessions and roles over HTTP."""

from collections.abc import Callable
from typing import Any

import grpc
import httpx
import pytest
from goticket.identity.v1 import identity_pb2 as pb
from goticket_testing.scripted import ScriptedBackends, ScriptedError

USER = "0197c0de-7a11-7b00-8a00-0000000000d1"
ADA = pb.User(id=USER, email="ada@goticket.test", name="Ada", roles=["user"])
ADA_OUT = {"id": USER, "email": "ada@goticket.test", "name": "Ada", "roles": ["user"]}
CREDENTIALS = {"email": "ada@goticket.test", "password": "difference engine"}

Bearer = Callable[..., dict[str, str]]
Status = grpc.StatusCode


async def test_registering_returns_the_user(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    backends.answers["Register"] = pb.RegisterResponse(user=ADA)
    answer = await client.post("/api/v1/auth/register", json=CREDENTIALS | {"name": "Ada"})
    assert (answer.status_code, answer.json()) == (201, ADA_OUT)


async def test_a_taken_address_is_a_conflict(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    backends.answers["Register"] = ScriptedError(Status.ALREADY_EXISTS, "email_taken")
    answer = await client.post("/api/v1/auth/register", json=CREDENTIALS | {"name": "Ada"})
    assert (answer.status_code, answer.json()["error"]) == (409, "email_taken")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("register", {"name": "Ada", "password": "secret!!"}, "email"),
        ("register", CREDENTIALS | {"name": None}, "name"),
        ("register", CREDENTIALS | {"name": "A\x00"}, "name"),
        ("register", CREDENTIALS | {"name": "A", "email": "a" * 251 + "@b.c"}, "email"),
        ("login", {"email": "ada@goticket.test"}, "password"),
        ("login", CREDENTIALS | {"password": 12345678}, "password"),
        ("refresh", {"refreshToken": ""}, "refreshToken"),
        ("refresh", {"refresh_token": "x"}, "refreshToken"),
        ("logout", {}, "refreshToken"),
    ],
)
async def test_a_wrong_field_is_named(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    path: str,
    body: dict[str, Any],
    field: str,
) -> None:
    answer = await client.post(f"/api/v1/auth/{path}", json=body)
    assert answer.status_code == 422
    assert [item["field"] for item in answer.json()["errors"]] == [field]
    assert backends.was_not_called()


@pytest.mark.parametrize("kept", ["opaque", ""])
async def test_logging_in_returns_tokens(
    client: httpx.AsyncClient, backends: ScriptedBackends, kept: str
) -> None:
    tokens = pb.Tokens(access_token="a.b.c", expires_in=900, refresh_token=kept)
    backends.answers |= {
        "Login": pb.LoginResponse(tokens=tokens),
        "Refresh": pb.RefreshResponse(tokens=tokens),
    }
    for answer in (
        await client.post("/api/v1/auth/login", json=CREDENTIALS),
        await client.post("/api/v1/auth/refresh", json={"refreshToken": "old"}),
    ):
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json() == {
            "accessToken": "a.b.c",
            "tokenType": "Bearer",
            "expiresIn": 900,
            "refreshToken": kept or None,
        }


@pytest.mark.parametrize("code", ["invalid_credentials", "session_expired"])
async def test_wrong_credentials_and_ended_sessions_are_unauthenticated(
    client: httpx.AsyncClient, backends: ScriptedBackends, code: str
) -> None:
    rejection = ScriptedError(Status.UNAUTHENTICATED, code)
    backends.answers |= {"Login": rejection, "Refresh": rejection}
    for path, body in (("login", CREDENTIALS), ("refresh", {"refreshToken": "x"})):
        answer = await client.post(f"/api/v1/auth/{path}", json=body)
        assert (answer.status_code, answer.json()["error"]) == (401, code)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_logging_out_returns_no_content(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    backends.answers["Logout"] = pb.LogoutResponse()
    answer = await client.post("/api/v1/auth/logout", json={"refreshToken": "opaque"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert backends.request_of("Logout").refresh_token == "opaque"


async def test_me_is_the_subject_of_the_token(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    backends.answers["GetUser"] = pb.GetUserResponse(user=ADA)
    answer = await client.get("/api/v1/users/me", headers=bearer())
    assert (answer.status_code, answer.json()) == (200, ADA_OUT)
    assert backends.request_of("GetUser").user_id == USER


async def test_admins_find_users_by_address(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    backends.answers["FindUser"] = pb.FindUserResponse(user=ADA)
    url = "/api/v1/users?email=ada%40goticket.test"
    answer = await client.get(url, headers=bearer("admin"))
    assert answer.json() == {"items": [ADA_OUT], "nextCursor": None}
    backends.answers["FindUser"] = ScriptedError(Status.NOT_FOUND, "user_not_found")
    answer = await client.get(url, headers=bearer("admin"))
    assert answer.json() == {"items": [], "nextCursor": None}
    assert (await client.get(url, headers=bearer("organizer"))).status_code == 403
    assert (await client.get("/api/v1/users", headers=bearer("admin"))).status_code == 422


async def test_admins_set_roles(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    backends.answers["SetRoles"] = pb.SetRolesResponse(user=ADA)
    url = f"/api/v1/users/{USER}/roles"
    answer = await client.put(url, json={"roles": ["organizer"]}, headers=bearer("admin"))
    assert (answer.status_code, answer.json()) == (200, ADA_OUT)
    assert backends.request_of("SetRoles").roles == ["organizer"]
    answer = await client.put(url, json={"roles": ["king"]}, headers=bearer("admin"))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "roles[0]")
    answer = await client.put(url, json={"roles": []}, headers=bearer("organizer"))
    assert answer.status_code == 403
    answer = await client.put("/api/v1/users/7/roles", json={"roles": []}, headers=bearer("admin"))
    assert (answer.status_code, answer.json()["error"]) == (404, "user_not_found")
    assert len(backends.requests["SetRoles"]) == 1


async def test_the_last_admin_stays(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    backends.answers["SetRoles"] = ScriptedError(Status.FAILED_PRECONDITION, "last_admin")
    url = f"/api/v1/users/{USER}/roles"
    answer = await client.put(url, json={"roles": []}, headers=bearer("admin"))
    assert (answer.status_code, answer.json()["error"]) == (409, "last_admin")
