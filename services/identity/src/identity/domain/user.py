"""A user: registration and roles."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from goticket_kernel.actor import ADMIN, ORGANIZER
from goticket_kernel.errors import FieldError
from goticket_kernel.text import InvalidText

from identity.domain.errors import InvalidAccount, LastAdmin
from identity.domain.validation import ParseEmail, prepare_name, prepare_new_password


class Role(StrEnum):
    """A role of a user. Every user has USER."""

    USER = "user"
    ORGANIZER = ORGANIZER
    ADMIN = ADMIN


@dataclass(frozen=True)
class User:
    """An account. `email` is the form of `ParseEmail`; `version` grows with each change."""

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


@dataclass(frozen=True)
class Registration:
    """The event of a new account, and its password as it is hashed."""

    registered: UserRegistered
    password: str


def register_user(
    *,
    user_id: UUID,
    email: str,
    password: str,
    name: str,
    now: datetime,
    parse_email: ParseEmail,
    roles: Iterable[str] = (),
) -> Registration:
    """Create an account.

    The user does not hold the password. Only its hash is stored.

    Raises:
        InvalidAccount: names each field that is wrong.
    """
    errors: list[FieldError] = []

    def prepared(field: str, prepare: Callable[[str], str], text: str) -> str:
        try:
            return prepare(text)
        except InvalidText as error:
            errors.append(FieldError(field, str(error)))
            return ""

    stored_email = prepared("email", parse_email, email)
    stored_password = prepared("password", prepare_new_password, password)
    stored_name = prepared("name", prepare_name, name)
    if errors:
        raise InvalidAccount(fields=errors)
    user = User(user_id, stored_email, stored_name, _parse_roles(roles), now)
    return Registration(UserRegistered(user, occurred_at=now), stored_password)


def _parse_roles(names: Iterable[str]) -> frozenset[Role]:
    unique_names = set(names)
    known = {role.value for role in Role}
    if unique_names - known:
        message = f"must be any of {', '.join(role.value for role in Role)}"
        raise InvalidAccount(fields=[FieldError("roles", message)])
    return frozenset(Role(name) for name in unique_names) | {Role.USER}
