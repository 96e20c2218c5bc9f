"""Interfaces that the use cases need from adapters."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from identity.domain.user import User, UserRegistered

Clock = Callable[[], datetime]
"""Returns the time, in UTC."""
NewId = Callable[[], UUID]


@dataclass(frozen=True)
class Credentials:
    """A user and the hash of the user's password."""

    user: User
    password_hash: str


@dataclass(frozen=True)
class LockedUsers:
    """A user, if it exists, and the ids of all administrators. Locks protect all of them."""

    user: User | None
    admins: frozenset[UUID]


class UserTransaction(Protocol):
    """Changes of users and their integration events in one transaction."""

    async def add(self, user: User, password_hash: str) -> bool:
        """Store a new user; return False, and store nothing, when the address is taken."""
        ...

    async def lock(self, user_id: UUID) -> LockedUsers:
        """Lock a user and all administrators until the transaction ends."""
        ...

    async def save_roles(self, user: User) -> None:
        """Store the roles and the version of a locked user."""
        ...

    async def record(self, event: UserRegistered) -> None:
        """Write an event to the outbox."""
        ...


class UserRepository(Protocol):
    """Stores users."""

    async def get(self, user_id: UUID) -> User | None:
        """Return the user, or None."""
        ...

    async def find(self, email: str) -> Credentials | None:
        """Return the user with this address, as parsed, and the password hash, or None."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[UserTransaction]:
        """Open a transaction; it commits at the end of the block."""
        ...


class PasswordHasher(Protocol):
    """Slow hashing of passwords, outside the event loop."""

    async def hash(self, password: str) -> str:
        """Hash a prepared password.

        Raises:
            Busy: the queue is full.
        """
        ...

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Check a prepared password against a hash.

        Without a hash the check never matches, but takes the same time.

        Raises:
            Busy: the queue is full.
        """
        ...


@dataclass(frozen=True)
class Session:
    """The session of a refresh token. All tokens since one login are one family."""

    user_id: UUID
    family_id: str
    token_hash: str


class SessionStore(Protocol):
    """Refresh tokens. Every method raises SessionStoreUnavailable without the store."""

    async def open(self, user_id: UUID) -> str:
        """Begin a session; return its first refresh token."""
        ...

    async def find(self, token: str) -> Session | None:
        """Return the session of a token, also of a token that was rotated within the last day."""
        ...

    async def rotate(self, session: Session) -> str:
        """Replace the session's newest token by the next one; exactly one caller succeeds.

        Raises:
            SessionExpired: the session has ended, or this token was rotated before. In the
                second case the token may be stolen, so the whole family ends (RFC 9700, 4.14).
        """
        ...

    async def end(self, session: Session) -> None:
        """End the family; ending it again changes nothing."""
        ...


class AccessTokenIssuer(Protocol):
    """Issues signed, short-lived access tokens."""

    @property
    def lifetime(self) -> timedelta:
        """The time that a token is valid."""
        ...

    @property
    def jwks_json(self) -> str:
        """Public keys that verify the tokens, as JWKS text (RFC 7517)."""
        ...

    def issue(self, user: User, now: datetime) -> str:
        """Sign a token that is valid from `now`."""
        ...
