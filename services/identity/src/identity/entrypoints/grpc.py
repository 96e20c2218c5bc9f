"""Identity's gRPC service: each call is one use case."""

# ruff: noqa: N802 - the proto names the methods
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from goticket.common.v1 import common_pb2
from goticket.identity.v1 import identity_pb2, identity_pb2_grpc
from goticket_kernel.actor import ANONYMOUS, Actor
from goticket_platform.ids import parse_id
from grpc.aio import ServicerContext

from identity.application.find_user import find_user
from identity.application.get_user import get_user
from identity.application.login import login
from identity.application.logout import logout
from identity.application.ports import (
    AccessTokenIssuer,
    Clock,
    NewId,
    PasswordHasher,
    SessionStore,
    UserRepository,
)
from identity.application.refresh import refresh
from identity.application.register import register
from identity.application.set_roles import set_roles
from identity.application.tokens import Tokens
from identity.domain.user import User
from identity.domain.validation import ParseEmail

SERVICE_NAME = identity_pb2.DESCRIPTOR.services_by_name["IdentityService"].full_name

Context = ServicerContext[Any, Any]

_NIL_ID = UUID(int=0)


class IdentityServicer(identity_pb2_grpc.IdentityServiceServicer):
    """Translates between protobuf and the use cases. The server maps errors by grpc_errors."""

    def __init__(
        self,
        *,
        users: UserRepository,
        passwords: PasswordHasher,
        sessions: SessionStore,
        access_tokens: AccessTokenIssuer,
        parse_email: ParseEmail,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._users = users
        self._passwords = passwords
        self._sessions = sessions
        self._access_tokens = access_tokens
        self._parse_email = parse_email
        self._clock = clock
        self._new_id = new_id

    async def Register(
        self, request: identity_pb2.RegisterRequest, context: Context
    ) -> identity_pb2.RegisterResponse:
        """Create an account."""
        user = await register(
            request.email,
            request.password,
            request.name,
            users=self._users,
            passwords=self._passwords,
            parse_email=self._parse_email,
            clock=self._clock,
            new_id=self._new_id,
        )
        return identity_pb2.RegisterResponse(user=_user_to_proto(user))

    async def Login(
        self, request: identity_pb2.LoginRequest, context: Context
    ) -> identity_pb2.LoginResponse:
        """Log in with e-mail address and password."""
        tokens = await login(
            request.email,
            request.password,
            users=self._users,
            passwords=self._passwords,
            sessions=self._sessions,
            access_tokens=self._access_tokens,
            parse_email=self._parse_email,
            clock=self._clock,
        )
        return identity_pb2.LoginResponse(tokens=_tokens_to_proto(tokens))

    async def Refresh(
        self, request: identity_pb2.RefreshRequest, context: Context
    ) -> identity_pb2.RefreshResponse:
        """Exchange a refresh token for new tokens."""
        tokens = await refresh(
            request.refresh_token,
            users=self._users,
            sessions=self._sessions,
            access_tokens=self._access_tokens,
            clock=self._clock,
        )
        return identity_pb2.RefreshResponse(tokens=_tokens_to_proto(tokens))

    async def Logout(
        self, request: identity_pb2.LogoutRequest, context: Context
    ) -> identity_pb2.LogoutResponse:
        """End a session."""
        await logout(request.refresh_token, sessions=self._sessions)
        return identity_pb2.LogoutResponse()

    async def GetUser(
        self, request: identity_pb2.GetUserRequest, context: Context
    ) -> identity_pb2.GetUserResponse:
        """Read a user."""
        user = await get_user(
            _parse_actor(request.actor), _parse_user_id(request.user_id), users=self._users
        )
        return identity_pb2.GetUserResponse(user=_user_to_proto(user))

    async def FindUser(
        self, request: identity_pb2.FindUserRequest, context: Context
    ) -> identity_pb2.FindUserResponse:
        """Find a user by address."""
        user = await find_user(
            _parse_actor(request.actor),
            request.email,
            users=self._users,
            parse_email=self._parse_email,
        )
        return identity_pb2.FindUserResponse(user=_user_to_proto(user))

    async def SetRoles(
        self, request: identity_pb2.SetRolesRequest, context: Context
    ) -> identity_pb2.SetRolesResponse:
        """Set a user's roles."""
        user = await set_roles(
            _parse_actor(request.actor),
            _parse_user_id(request.user_id),
            request.roles,
            users=self._users,
        )
        return identity_pb2.SetRolesResponse(user=_user_to_proto(user))

    async def GetJwks(
        self, request: identity_pb2.GetJwksRequest, context: Context
    ) -> identity_pb2.GetJwksResponse:
        """Read the public keys of access tokens."""
        return identity_pb2.GetJwksResponse(jwks_json=self._access_tokens.jwks_json)


def _parse_actor(actor: common_pb2.Actor) -> Actor:
    try:
        return Actor(parse_id(actor.user_id), frozenset(actor.roles))
    except ValueError:
        return ANONYMOUS


def _parse_user_id(text: str) -> UUID:
    # No user has the nil UUID. So the use case treats an id that is no UUID like an unknown
    # one, after it has checked the actor's rights.
    try:
        return parse_id(text)
    except ValueError:
        return _NIL_ID


def _user_to_proto(user: User) -> identity_pb2.User:
    created_at = Timestamp()
    created_at.FromDatetime(user.created_at)
    return identity_pb2.User(
        id=str(user.id),
        email=user.email,
        name=user.name,
        roles=user.role_names,
        created_at=created_at,
    )


def _tokens_to_proto(tokens: Tokens) -> identity_pb2.Tokens:
    return identity_pb2.Tokens(
        access_token=tokens.access_token,
        expires_in=tokens.expires_in,
        refresh_token=tokens.refresh_token,
    )
