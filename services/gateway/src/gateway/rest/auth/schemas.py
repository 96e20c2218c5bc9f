"""Accounts and sessions as JSON."""

from collections.abc import Sequence
from typing import Literal, Self

from goticket.identity.v1 import identity_pb2 as pb
from pydantic import Field

from gateway.rest.schemas import (
    Answer,
    Body,
    Email,
    EmailOut,
    Id,
    Page,
    Password,
    PersonName,
    Text,
)

Role = Literal["user", "organizer", "admin"]


class Registration(Body):
    """A new account."""

    email: Email
    password: Password = Field(description="8 to 128 characters.")
    name: PersonName = Field(description="As printed on tickets.", examples=["Grace Hopper"])


class Credentials(Body):
    """Input of a login."""

    email: Email
    password: Password


class RefreshToken(Body):
    """The token of a session."""

    refresh_token: Text = Field(min_length=1, max_length=1000, examples=["b3BhcXVl"])


class RolesChange(Body):
    """All roles of the user after the change; "user" is added automatically."""

    roles: list[Role] = Field(max_length=10, examples=[["organizer"]])


class UserOut(Answer):
    """An account."""

    id: Id
    email: EmailOut
    name: str = Field(examples=["Grace Hopper"])
    roles: list[str] = Field(examples=[["user"]])

    @classmethod
    def of(cls, user: pb.User) -> Self:
        """Translate from identity's message."""
        return cls(id=user.id, email=user.email, name=user.name, roles=list(user.roles))


class UserPage(Page):
    """A page of users."""

    items: Sequence[UserOut]


class TokensOut(Answer):
    """The tokens of a session."""

    access_token: str = Field(description="Send it as `Authorization: Bearer …`.")
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in: int = Field(description="Seconds until the access token ends.", examples=[900])
    refresh_token: str | None = Field(
        description="For POST /api/v1/auth/refresh, once; null without the session store."
    )

    @classmethod
    def of(cls, tokens: pb.Tokens) -> Self:
        """Translate from identity's message."""
        return cls(
            access_token=tokens.access_token,
            expires_in=tokens.expires_in,
            refresh_token=tokens.refresh_token or None,
        )
