"""The service over a real gRPC channel."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import grpc
import jwt
import pytest
import pytest_asyncio
from goticket.common.v1 import common_pb2
from goticket.identity.v1 import identity_pb2 as pb
from goticket.identity.v1 import identity_pb2_grpc
from goticket_platform.lifecycle import Stop
from goticket_platform.rpc.client import call
from goticket_platform.rpc.errors import RemoteError
from goticket_testing.backend import RedisBackend
from goticket_testing.databases import DatabaseFactory
from goticket_testing.messaging import eventually
from goticket_testing.rpc_keys import caller_keys, open_service_channel
from identity.bootstrap import run_relay, serving
from identity.config import RelaySettings, ServeSettings
from pydantic import SecretStr

ADMIN_EMAIL = "admin@goticket.example"
EMAIL = "ada@goticket.example"
PASSWORD = "difference engine"
TIMEOUT_SECONDS = 10.0

# A string, because the class exists only for type checkers.
Stub: TypeAlias = "identity_pb2_grpc.IdentityServiceAsyncStub"


def settings(dsn: str, redis_url: str, **changes: Any) -> ServeSettings:
    # Without validation, because this bcrypt cost is allowed only in tests.
    return ServeSettings.model_construct(
        database_url=dsn,
        redis_url=redis_url,
        grpc_listen="127.0.0.1:0",
        grpc_reflection=False,
        rpc_caller_keys=caller_keys("identity"),
        signing_key=bytes(range(32)),
        bcrypt_cost=4,
        admin_email=ADMIN_EMAIL,
        admin_password=SecretStr(PASSWORD),
        **changes,
    )


@asynccontextmanager
async def running(chosen: ServeSettings) -> AsyncIterator[Stub]:
    async with (
        serving(chosen, Stop()) as port,
        open_service_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield identity_pb2_grpc.IdentityServiceStub(channel)


@pytest_asyncio.fixture
async def dsn(database: DatabaseFactory) -> str:
    return await database("identity")


@pytest_asyncio.fixture
async def stub(dsn: str, redis_url: str) -> AsyncIterator[Stub]:
    async with running(settings(dsn, redis_url)) as connected:
        yield connected


async def register(stub: Stub, email: str = EMAIL, **changes: str) -> pb.User:
    request = pb.RegisterRequest(email=email, **{"password": PASSWORD, "name": "Ada", **changes})
    return (await call(stub.Register, request, timeout=TIMEOUT_SECONDS)).user


async def login(stub: Stub, email: str = EMAIL, password: str = PASSWORD) -> pb.Tokens:
    request = pb.LoginRequest(email=email, password=password)
    return (await call(stub.Login, request, timeout=TIMEOUT_SECONDS)).tokens


async def refresh(stub: Stub, token: str) -> pb.Tokens:
    request = pb.RefreshRequest(refresh_token=token)
    return (await call(stub.Refresh, request, timeout=TIMEOUT_SECONDS)).tokens


async def claims_of(stub: Stub, token: str) -> dict[str, Any]:
    jwks = (await call(stub.GetJwks, pb.GetJwksRequest())).jwks_json
    keys = jwt.PyJWKSet.from_json(jwks)
    claims: dict[str, Any] = jwt.decode(
        token,
        keys[jwt.get_unverified_header(token)["kid"]],
        algorithms=["EdDSA"],
        audience="goticket",
        issuer="https://goticket.example",
    )
    return claims


async def admin(stub: Stub) -> common_pb2.Actor:
    claims = await claims_of(stub, (await login(stub, ADMIN_EMAIL)).access_token)
    return common_pb2.Actor(user_id=claims["sub"], roles=claims["roles"])


async def error_of(response: Awaitable[object]) -> RemoteError:
    with pytest.raises(RemoteError) as error:
        await response
    return error.value


async def test_register_login_refresh_and_logout(stub: Stub) -> None:
    user = await register(stub, "Ada@GoTicket.Example")
    assert UUID(user.id).version == 7
    assert (user.email, user.name, list(user.roles)) == (EMAIL, "Ada", ["user"])
    assert user.HasField("created_at")

    tokens = await login(stub)
    claims = await claims_of(stub, tokens.access_token)
    assert (claims["sub"], claims["email"], claims["name"]) == (user.id, EMAIL, "Ada")
    assert claims["roles"] == ["user"]
    assert claims["exp"] - claims["iat"] == tokens.expires_in == 900

    renewed = await refresh(stub, tokens.refresh_token)
    assert (await claims_of(stub, renewed.access_token))["sub"] == user.id
    logout = pb.LogoutRequest(refresh_token=renewed.refresh_token)
    await call(stub.Logout, logout, timeout=TIMEOUT_SECONDS)
    await call(stub.Logout, logout, timeout=TIMEOUT_SECONDS)
    ended = await error_of(refresh(stub, renewed.refresh_token))
    assert (ended.code, ended.status) == ("session_expired", grpc.StatusCode.UNAUTHENTICATED)


async def test_an_invalid_registration_reports_every_field(stub: Stub) -> None:
    error = await error_of(register(stub, "nobody", password="short", name="A\0"))
    assert (error.code, error.status) == ("validation_failed", grpc.StatusCode.INVALID_ARGUMENT)
    assert [field for field, _ in error.fields] == ["email", "password", "name"]


async def test_an_address_can_be_registered_once(stub: Stub) -> None:
    await register(stub)
    error = await error_of(register(stub, EMAIL.upper()))
    assert (error.code, error.status) == ("email_taken", grpc.StatusCode.ALREADY_EXISTS)


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (EMAIL, "wrong"),
        (EMAIL, ""),
        (EMAIL, "x" * 100),
        ("eve@goticket.example", PASSWORD),
        ("\0", ""),
    ],
)
async def test_a_failed_login_does_not_reveal_its_reason(
    stub: Stub, email: str, password: str
) -> None:
    await register(stub)
    error = await error_of(login(stub, email, password))
    assert (error.code, error.status) == ("invalid_credentials", grpc.StatusCode.UNAUTHENTICATED)
    assert error.message == "E-mail address or password is wrong."
    assert not error.fields


async def test_a_refreshed_token_has_the_newly_granted_role(stub: Stub) -> None:
    user = await register(stub)
    tokens = await login(stub)
    actor = await admin(stub)
    found = (await call(stub.FindUser, pb.FindUserRequest(actor=actor, email=EMAIL))).user
    assert found == user
    request = pb.SetRolesRequest(actor=actor, user_id=found.id, roles=["organizer"])
    changed = (await call(stub.SetRoles, request)).user
    assert list(changed.roles) == ["user", "organizer"]
    renewed = await refresh(stub, tokens.refresh_token)
    assert (await claims_of(stub, renewed.access_token))["roles"] == ["user", "organizer"]


async def test_users_may_read_only_themselves(stub: Stub) -> None:
    user, other = await register(stub), await register(stub, "eve@goticket.example")
    actor = common_pb2.Actor(user_id=user.id, roles=["user"])
    own = pb.GetUserRequest(actor=actor, user_id=user.id)
    assert (await call(stub.GetUser, own)).user == user
    for user_id in (other.id, str(uuid4()), "no id", ""):
        request = pb.GetUserRequest(actor=actor, user_id=user_id)
        error = await error_of(call(stub.GetUser, request))
        assert (error.code, error.status) == ("forbidden", grpc.StatusCode.PERMISSION_DENIED)


async def test_errors_of_set_roles_have_their_codes(stub: Stub) -> None:
    actor = await admin(stub)

    async def set_roles(user_id: str, *roles: str) -> RemoteError:
        request = pb.SetRolesRequest(actor=actor, user_id=user_id, roles=roles)
        return await error_of(call(stub.SetRoles, request))

    last = await set_roles(actor.user_id, "organizer")
    assert (last.code, last.status) == ("last_admin", grpc.StatusCode.FAILED_PRECONDITION)
    unknown = await set_roles(str(uuid4()), "organizer")
    malformed = await set_roles("no id", "organizer")
    assert malformed.code == unknown.code
    assert (unknown.code, unknown.status) == ("user_not_found", grpc.StatusCode.NOT_FOUND)
    invalid = await set_roles(actor.user_id, "admin", "emperor")
    assert (invalid.code, [field for field, _ in invalid.fields]) == (
        "validation_failed",
        ["roles"],
    )


async def test_a_second_start_does_not_change_the_first_admin(dsn: str, redis_url: str) -> None:
    for password in (PASSWORD, "another password"):
        chosen = settings(dsn, redis_url).model_copy(update={"admin_password": SecretStr(password)})
        async with running(chosen) as stub:
            assert (await login(stub, ADMIN_EMAIL)).access_token


async def test_users_log_in_without_redis(stub: Stub, redis_server: RedisBackend) -> None:
    await register(stub)
    tokens = await login(stub)
    redis_server.stop()
    try:
        without_session = await login(stub)
        assert (await claims_of(stub, without_session.access_token))["email"] == EMAIL
        assert without_session.refresh_token == ""
        error = await error_of(refresh(stub, tokens.refresh_token))
        assert (error.code, error.status) == ("unavailable", grpc.StatusCode.UNAVAILABLE)
        logout = pb.LogoutRequest(refresh_token=tokens.refresh_token)
        assert (await error_of(call(stub.Logout, logout))).code == "unavailable"
    finally:
        redis_server.start()
    assert (await login(stub)).refresh_token


async def test_tokens_of_a_retired_key_are_still_valid(dsn: str, redis_url: str) -> None:
    async with running(settings(dsn, redis_url)) as stub:
        token = (await login(stub, ADMIN_EMAIL)).access_token
        keys = json.loads((await call(stub.GetJwks, pb.GetJwksRequest())).jwks_json)["keys"]
    retired = jwt.PyJWK(keys[0]).key.public_bytes_raw()
    chosen = settings(dsn, redis_url, retired_keys=(retired,))
    async with running(chosen.model_copy(update={"signing_key": bytes(32)})) as stub:
        assert (await claims_of(stub, token))["email"] == ADMIN_EMAIL


async def test_the_relay_publishes_the_outbox(stub: Stub, dsn: str, amqp_url: str) -> None:
    await register(stub)
    stop = Stop()
    chosen = RelaySettings.model_construct(database_url=dsn, amqp_url=amqp_url)
    relaying = asyncio.create_task(run_relay(chosen, stop))
    try:
        await eventually(lambda: _outbox_is_empty(dsn))
    finally:
        stop.set()
        await relaying


async def _outbox_is_empty(dsn: str) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        return not await connection.fetch("SELECT id FROM identity.outbox LIMIT 1")
    finally:
        await connection.close()
