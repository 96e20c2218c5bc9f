"""The gRPC service: messages in, a use case, messages out."""

# ruff: noqa: N802 - the methods are called as the proto calls them
from typing import Any
from uuid import UUID

from goticket.common.v1 import common_pb2
from goticket.identity.v1 import identity_pb2, identity_pb2_grpc
from grpc.aio import ServicerContext

from identity.application.find_user import find_user
from identity.application.get_user import get_user
from identity.application.login import login
from identity.application.logout import logout
from identity.application.ports import AccessTokens, Clock, NewId, Passwords, Sessions, Users
from identity.application.refresh import refresh
from identity.application.register import register
from identity.application.set_roles import set_roles
from identity.application.tokens import Tokens
from identity.domain.actor import Actor
from identity.wire import user_message

SERVICE_NAME = identity_pb2.DESCRIPTOR.services_by_name["IdentityService"].full_name

Context = ServicerContext[Any, Any]


class IdentityServicer(identity_pb2_grpc.IdentityServiceServicer):
    """Translates; errors are turned into statuses by the server's interceptor."""

    def __init__(
        self,
        *,
        users: Users,
        passwords: Passwords,
        sessions: Sessions,
        access_tokens: AccessTokens,
        now: Clock,
        new_id: NewId,
    ) -> None:
        self._users = users
        self._passwords = passwords
        self._sessions = sessions
        self._access_tokens = access_tokens
        self._now = now
        self._new_id = new_id

    async def Register(
        self, request: identity_pb2.RegisterRequest, context: Context
    ) -> identity_pb2.RegisterResponse:
        """Open an account."""
        user = await register(
            request.email,
            request.password,
            request.name,
            users=self._users,
            passwords=self._passwords,
            now=self._now,
            new_id=self._new_id,
        )
        return identity_pb2.RegisterResponse(user=user_message(user))

    async def Login(
        self, request: identity_pb2.LoginRequest, context: Context
    ) -> identity_pb2.LoginResponse:
        """Trade e-mail and password for tokens."""
        tokens = await login(
            request.email,
            request.password,
            users=self._users,
            passwords=self._passwords,
            sessions=self._sessions,
            access_tokens=self._access_tokens,
            now=self._now,
        )
        return identity_pb2.LoginResponse(tokens=_tokens_message(tokens))

    async def Refresh(
        self, request: identity_pb2.RefreshRequest, context: Context
    ) -> identity_pb2.RefreshResponse:
        """Trade a refresh token for new tokens."""
        tokens = await refresh(
            request.refresh_token,
            users=self._users,
            sessions=self._sessions,
            access_tokens=self._access_tokens,
            now=self._now,
        )
        return identity_pb2.RefreshResponse(tokens=_tokens_message(tokens))

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
        user = await get_user(_actor(request.actor), _uuid(request.user_id), users=self._users)
        return identity_pb2.GetUserResponse(user=user_message(user))

    async def FindUser(
        self, request: identity_pb2.FindUserRequest, context: Context
    ) -> identity_pb2.FindUserResponse:
        """Find a user by address."""
        user = await find_user(_actor(request.actor), request.email, users=self._users)
        return identity_pb2.FindUserResponse(user=user_message(user))

    async def SetRoles(
        self, request: identity_pb2.SetRolesRequest, context: Context
    ) -> identity_pb2.SetRolesResponse:
        """Set a user's roles."""
        user = await set_roles(
            _actor(request.actor), _uuid(request.user_id), request.roles, users=self._users
        )
        return identity_pb2.SetRolesResponse(user=user_message(user))

    async def GetJwks(
        self, request: identity_pb2.GetJwksRequest, context: Context
    ) -> identity_pb2.GetJwksResponse:
        """Read the public keys of access tokens."""
        return identity_pb2.GetJwksResponse(jwks_json=self._access_tokens.jwks_json)


def _actor(message: common_pb2.Actor) -> Actor:
    return Actor(_uuid(message.user_id), frozenset(message.roles))


def _uuid(text: str) -> UUID | None:
    """Return the id, or None for text that is none: no user has such an id."""
    try:
        return UUID(text)
    except ValueError:
        return None


def _tokens_message(tokens: Tokens) -> identity_pb2.Tokens:
    return identity_pb2.Tokens(
        access_token=tokens.access_token,
        expires_in=tokens.expires_in,
        refresh_token=tokens.refresh_token,
    )
