"""What the use cases need from the outside."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from identity.domain.user import User, UserRegistered

Clock = Callable[[], datetime]
"""The time now, in UTC."""
NewId = Callable[[], UUID]


@dataclass(frozen=True)
class Credentials:
    """A user and the hash of their password."""

    user: User
    password_hash: str


@dataclass(frozen=True)
class LockedUsers:
    """A user, if there is one, and the ids of all administrators; none can change meanwhile."""

    user: User | None
    admins: frozenset[UUID]


class UserChanges(Protocol):
    """Changes to users and their events: all of a transaction, or none."""

    async def add(self, user: User, password_hash: str) -> bool:
        """Store a new user; False, and nothing stored, when the address is taken."""
        ...

    async def lock(self, user_id: UUID) -> LockedUsers:
        """Lock a user and all administrators until the transaction ends."""
        ...

    async def save_roles(self, user: User) -> None:
        """Store the roles and version of a locked user."""
        ...

    async def record(self, event: UserRegistered) -> None:
        """Put an event in the outbox."""
        ...


class Users(Protocol):
    """The users that exist."""

    async def get(self, user_id: UUID) -> User | None:
        """Read a user."""
        ...

    async def find(self, email: str) -> Credentials | None:
        """Read a user and the password hash by lower-case address."""
        ...

    def change(self) -> AbstractAsyncContextManager[UserChanges]:
        """Open a transaction; it commits at the end of the block."""
        ...


class Passwords(Protocol):
    """Slow hashing of passwords, away from the event loop."""

    async def hash(self, password: str) -> str:
        """Hash a valid password.

        Raises:
            Busy: too many others wait already.
        """
        ...

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Check a password; None, for nobody's hash, takes as long and never matches.

        Raises:
            Busy: too many others wait already.
        """
        ...


@dataclass(frozen=True)
class Session:
    """What a refresh token stands for: a link in the family that began with one login."""

    user_id: UUID
    family: str
    token_hash: str


class Sessions(Protocol):
    """Refresh tokens. Every method raises Unavailable when their store cannot be reached."""

    async def open(self, user_id: UUID) -> str:
        """Begin a session; return its first refresh token."""
        ...

    async def find(self, token: str) -> Session | None:
        """Read what a token stands for, also when it has been rotated lately."""
        ...

    async def rotate(self, session: Session) -> str:
        """Trade the session's newest token for the next one; exactly one caller can.

        Raises:
            SessionExpired: the session has ended, or this token was traded before:
                then somebody copied it, and the whole family ends.
        """
        ...

    async def end(self, session: Session) -> None:
        """End the family; ending it again changes nothing."""
        ...


class AccessTokens(Protocol):
    """Signed, short-lived proofs of who somebody is."""

    @property
    def lifetime(self) -> timedelta:
        """How long a token is good for."""
        ...

    @property
    def jwks_json(self) -> str:
        """Public keys that verify them, as JWKS text (RFC 7517)."""
        ...

    def issue(self, user: User, now: datetime) -> str:
        """Sign a token that begins `now`."""
        ...
