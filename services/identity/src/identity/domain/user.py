"""A user: opening an account, and changing what it may do."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from identity.domain.account_rules import email_problems, name_problems, password_problems
from identity.domain.errors import FieldError, InvalidAccount, LastAdmin


class Role(StrEnum):
    """What a user may do; everybody has USER."""

    USER = "user"
    ORGANIZER = "organizer"
    ADMIN = "admin"


@dataclass(frozen=True)
class User:
    """Somebody with an account. `email` is lower case; `version` grows with each change."""

    id: UUID
    email: str
    name: str
    roles: frozenset[Role]
    created_at: datetime
    version: int = 1

    @property
    def is_admin(self) -> bool:
        """Tell whether the user may administer others."""
        return Role.ADMIN in self.roles

    def with_roles(self, roles: Iterable[str], admins: Collection[UUID]) -> "User":
        """Return the user with exactly `roles` (and USER); the same user if nothing changes.

        `admins` are the ids of all administrators right now.

        Raises:
            InvalidAccount: a role does not exist.
            LastAdmin: nobody would be left to administer.
        """
        wanted = _roles(roles)
        if self.is_admin and Role.ADMIN not in wanted and not set(admins) - {self.id}:
            raise LastAdmin
        if wanted == self.roles:
            return self
        return replace(self, roles=wanted, version=self.version + 1)


@dataclass(frozen=True)
class UserRegistered:
    """Somebody opened an account."""

    user: User
    occurred_at: datetime


def open_account(
    *,
    user_id: UUID,
    email: str,
    password: str,
    name: str,
    now: datetime,
    roles: Iterable[str] = (),
) -> UserRegistered:
    """Open an account, or say everything that is wrong with it at once.

    The password is judged, not kept: only its hash is stored, beside the user.

    Raises:
        InvalidAccount: naming each field that breaks a rule.
    """
    problems = [
        FieldError(field, message)
        for field, messages in (
            ("email", email_problems(email)),
            ("password", password_problems(password)),
            ("name", name_problems(name)),
        )
        for message in messages
    ]
    if problems:
        raise InvalidAccount(problems)
    user = User(user_id, email.lower(), name.strip(), _roles(roles), now)
    return UserRegistered(user, occurred_at=now)


def _roles(names: Iterable[str]) -> frozenset[Role]:
    wanted = set(names)
    known = {role.value for role in Role}
    if wanted - known:
        message = f"must be any of {', '.join(role.value for role in Role)}"
        raise InvalidAccount([FieldError("roles", message)])
    return frozenset(Role(name) for name in wanted) | {Role.USER}
