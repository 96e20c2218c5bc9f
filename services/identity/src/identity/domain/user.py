"""A user: registration and roles."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from goticket_kernel.actor import ADMIN, ORGANIZER
from goticket_kernel.errors import FieldError

from identity.domain.errors import InvalidAccount, LastAdmin
from identity.domain.validation import validate_email, validate_name, validate_password


class Role(StrEnum):
    """A role of a user. Every user has USER."""

    USER = "user"
    ORGANIZER = ORGANIZER
    ADMIN = ADMIN


@dataclass(frozen=True)
class User:
    """An account. `email` is lower case; `version` grows with each change."""

    id: UUID
    email: str
    name: str
    roles: frozenset[Role]
    created_at: datetime
    version: int = 1

    @property
    def is_admin(self) -> bool:
        """Whether the user is an administrator."""
        return Role.ADMIN in self.roles

    @property
    def role_names(self) -> list[str]:
        """Names of the roles in the order of their definition."""
        return [role.value for role in Role if role in self.roles]

    def with_roles(self, roles: Iterable[str], admins: Collection[UUID]) -> "User":
        """Return the user with exactly `roles` (and USER); the same user if nothing changes.

        `admins` are the ids of all current administrators.

        Raises:
            InvalidAccount: a role does not exist.
            LastAdmin: no administrator would remain.
        """
        new_roles = _parse_roles(roles)
        if self.is_admin and Role.ADMIN not in new_roles and not set(admins) - {self.id}:
            raise LastAdmin
        if new_roles == self.roles:
            return self
        return replace(self, roles=new_roles, version=self.version + 1)


@dataclass(frozen=True)
class UserRegistered:
    """An account was created."""

    user: User
    occurred_at: datetime


def register_user(
    *,
    user_id: UUID,
    email: str,
    password: str,
    name: str,
    now: datetime,
    roles: Iterable[str] = (),
) -> UserRegistered:
    """Create an account.

    The password is validated here, but the user does not hold it. Only its hash is stored.

    Raises:
        InvalidAccount: names each field that is wrong.
    """
    errors = [
        FieldError(field, message)
        for field, messages in (
            ("email", validate_email(email)),
            ("password", validate_password(password)),
            ("name", validate_name(name)),
        )
        for message in messages
    ]
    if errors:
        raise InvalidAccount(fields=errors)
    user = User(user_id, email.lower(), name.strip(), _parse_roles(roles), now)
    return UserRegistered(user, occurred_at=now)


def _parse_roles(names: Iterable[str]) -> frozenset[Role]:
    unique_names = set(names)
    known = {role.value for role in Role}
    if unique_names - known:
        message = f"must be any of {', '.join(role.value for role in Role)}"
        raise InvalidAccount(fields=[FieldError("roles", message)])
    return frozenset(Role(name) for name in unique_names) | {Role.USER}
