"""Calls to identity: accounts, sessions, roles, signing keys."""

from collections.abc import Sequence

import grpc
from goticket.common.v1.common_pb2 import Actor
from goticket.identity.v1 import identity_pb2 as pb
from goticket.identity.v1.identity_pb2_grpc import IdentityServiceStub
from goticket_platform.rpc.client import READ_SECONDS, WRITE_SECONDS, call


class IdentityClient:
    """Every method raises RemoteError when identity rejects the call or is unavailable."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._stub = IdentityServiceStub(channel)

    async def register(self, *, email: str, password: str, name: str) -> pb.User:
        """Create an account."""
        request = pb.RegisterRequest(email=email, password=password, name=name)
        return (await call(self._stub.Register, request, timeout=WRITE_SECONDS)).user

    async def login(self, *, email: str, password: str) -> pb.Tokens:
        """Exchange credentials for tokens."""
        request = pb.LoginRequest(email=email, password=password)
        return (await call(self._stub.Login, request, timeout=WRITE_SECONDS)).tokens

    async def refresh(self, refresh_token: str) -> pb.Tokens:
        """Exchange a refresh token for new tokens. Never retried: the token works once."""
        request = pb.RefreshRequest(refresh_token=refresh_token)
        return (await call(self._stub.Refresh, request, timeout=WRITE_SECONDS)).tokens

    async def logout(self, refresh_token: str) -> None:
        """End a session."""
        request = pb.LogoutRequest(refresh_token=refresh_token)
        await call(self._stub.Logout, request, timeout=WRITE_SECONDS, idempotent=True)

    async def get_user(self, actor: Actor, user_id: str) -> pb.User:
        """Read a user."""
        request = pb.GetUserRequest(actor=actor, user_id=user_id)
        return (await call(self._stub.GetUser, request, timeout=READ_SECONDS, idempotent=True)).user

    async def find_user(self, actor: Actor, email: str) -> pb.User:
        """Find a user by e-mail address."""
        request = pb.FindUserRequest(actor=actor, email=email)
        return (
            await call(self._stub.FindUser, request, timeout=READ_SECONDS, idempotent=True)
        ).user

    async def set_roles(self, actor: Actor, user_id: str, roles: Sequence[str]) -> pb.User:
        """Replace a user's roles."""
        request = pb.SetRolesRequest(actor=actor, user_id=user_id, roles=roles)
        return (
            await call(self._stub.SetRoles, request, timeout=WRITE_SECONDS, idempotent=True)
        ).user

    async def jwks_json(self) -> str:
        """Return the public keys of access tokens, as JSON text of a key set."""
        request = pb.GetJwksRequest()
        return (
            await call(self._stub.GetJwks, request, timeout=READ_SECONDS, idempotent=True)
        ).jwks_json
