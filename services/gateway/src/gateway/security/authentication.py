"""Authentication of callers: access tokens are verified here, without a call to identity."""

import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import jwt
import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from goticket.common.v1.common_pb2 import Actor
from goticket_kernel.permissions import Permission, roles_with
from goticket_platform.caching import CacheBudget, Entry, TTLCache
from jwt.utils import base64url_decode

from gateway.http.problems import Problem
from gateway.security.key_ring import KeyRing

MAX_TOKEN_CHARACTERS = 4096
_CALLER_BYTES = 4096
"""Memory of a caller at most, beside its texts."""
_MAX_SECONDS = 3600.0
"""Time after which a token is verified again, whatever its own lifetime."""
_HEADER_CHARACTERS = 256
"""Longer first segments of tokens are not cached: identity's have a third of that."""


@dataclass(frozen=True)
class Caller:
    """The subject of a verified token."""

    user_id: str
    email: str
    name: str
    roles: frozenset[str]
    expires_at: float
    """Unix seconds."""

    @functools.cached_property
    def actor(self) -> Actor:
        """The caller as backends take it; not to be changed."""
        return Actor(
            user_id=self.user_id, email=self.email, name=self.name, roles=sorted(self.roles)
        )


class TokenVerifier:
    """Turns access tokens into callers; `now` returns unix seconds."""

    def __init__(
        self,
        keys: KeyRing,
        budget: CacheBudget,
        *,
        issuer: str,
        audience: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._now = now
        self._clock = budget.clock
        # Checking a signature costs about 100 microseconds.
        self._verified: TTLCache[Caller] = TTLCache(budget, "tokens", size_of=_size_of)

    async def verify(self, token: str) -> Caller:
        """Return the caller that the token was issued to.

        Raises:
            Problem: token_expired or token_invalid.
            RemoteError: identity is unavailable and its keys were never fetched.
        """
        if entry := self._verified.get(token):
            caller = entry.value
        else:
            caller = await self._check(token)
            now = self._clock()
            seconds = caller.expires_at - self._now()
            self._verified.put(token, Entry(caller, now, now + min(seconds, _MAX_SECONDS)))
        if caller.expires_at <= self._now():
            raise Problem("token_expired")
        return caller

    async def _check(self, token: str) -> Caller:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise Problem("token_invalid")
        try:
            kid = _key_id(token.partition(".")[0])
            key = await self._keys.key(kid) if kid else None
            if key is None:
                raise Problem("token_invalid")
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                issuer=self._issuer,
                audience=self._audience,
                # `verify` compares exp with its own clock; iat only informs.
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            return _caller(claims)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise Problem("token_invalid") from error


def _size_of(caller: Caller) -> int:
    texts = (caller.email, caller.name, *caller.roles)
    return _CALLER_BYTES + 8 * sum(map(len, texts))


def _key_id(header: str) -> str | None:
    """Read the key id in a token's first segment; all tokens of a key have the same.

    `jwt.decode` validates the whole header: this only chooses the key.

    Raises:
        ValueError: it is not base64url or not JSON.
    """
    if len(header) > _HEADER_CHARACTERS:
        return _parse_key_id(header)
    return _cached_key_id(header)


def _parse_key_id(header: str) -> str | None:
    found = json.loads(base64url_decode(header))
    kid = found.get("kid") if isinstance(found, dict) else None
    return kid if isinstance(kid, str) else None


_cached_key_id = functools.lru_cache(maxsize=64)(_parse_key_id)


def _caller(claims: dict[str, Any]) -> Caller:
    return Caller(
        user_id=str(UUID(claims["sub"])),
        email=str(claims.get("email", "")),
        name=str(claims.get("name", "")),
        roles=frozenset(str(role) for role in claims.get("roles", ())),
        expires_at=float(claims["exp"]),
    )


bearer = HTTPBearer(
    auto_error=False,
    bearerFormat="JWT",
    scheme_name="bearer",
    description="The accessToken of POST /api/v1/auth/login.",
)


async def authenticate(verifier: TokenVerifier, authorization: str | None) -> Caller | None:
    """Return the caller that an Authorization header field names, None without one.

    Raises:
        Problem: unauthenticated, token_expired, token_invalid.
        RemoteError: identity is unavailable and its keys were never fetched.
    """
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Problem("unauthenticated", "The Authorization header must read: Bearer <token>.")
    return await verifier.verify(token.strip())


async def optional_caller(
    request: Request, _documented: Annotated[object, Depends(bearer)]
) -> Caller | None:
    """Return the caller, None without a token.

    Raises:
        Problem: a token was sent and is not valid.
    """
    verifier: TokenVerifier = request.app.state.components.verifier
    caller = await authenticate(verifier, request.headers.get("authorization"))
    if caller is not None:
        structlog.contextvars.bind_contextvars(user_id=caller.user_id)
    return caller


async def required_caller(
    caller: Annotated[Caller | None, Depends(optional_caller)],
) -> Caller:
    """Return the caller.

    Raises:
        Problem: unauthenticated, token_expired, token_invalid.
    """
    if caller is None:
        raise Problem("unauthenticated")
    return caller


class RequireRoleFor:
    """Admits callers whose roles allow a permission, before any call to a backend.

    The service that owns the object decides again, with the object's accounts.
    """

    def __init__(self, permission: Permission) -> None:
        self.roles = roles_with(permission)

    async def __call__(self, caller: Annotated[Caller, Depends(required_caller)]) -> Caller:
        """Return the caller.

        Raises:
            Problem: forbidden.
        """
        if not caller.roles & self.roles:
            raise Problem("forbidden")
        return caller


MaybeCaller = Annotated[Caller | None, Depends(optional_caller)]
AnyCaller = Annotated[Caller, Depends(required_caller)]
EventCreator = Annotated[Caller, Depends(RequireRoleFor(Permission.CREATE_EVENT))]
EventChanger = Annotated[Caller, Depends(RequireRoleFor(Permission.CHANGE_EVENT))]
EventBookingsReader = Annotated[Caller, Depends(RequireRoleFor(Permission.LIST_EVENT_BOOKINGS))]
CheckInListReader = Annotated[Caller, Depends(RequireRoleFor(Permission.READ_CHECK_IN_LIST))]
UserFinder = Annotated[Caller, Depends(RequireRoleFor(Permission.FIND_USER))]
RolesSetter = Annotated[Caller, Depends(RequireRoleFor(Permission.SET_ROLES))]
