"""The tokens of a logged-in user."""

from dataclasses import dataclass
from datetime import datetime

from identity.application.ports import AccessTokenIssuer
from identity.domain.user import User


@dataclass(frozen=True)
class Tokens:
    """An access token, its lifetime in seconds, and a refresh token ("" without a session)."""

    access_token: str
    expires_in: int
    refresh_token: str


def issue_tokens(
    user: User, refresh_token: str, *, access_tokens: AccessTokenIssuer, now: datetime
) -> Tokens:
    """Sign an access token and return it with the refresh token."""
    return Tokens(
        access_token=access_tokens.issue(user, now),
        expires_in=int(access_tokens.lifetime.total_seconds()),
        refresh_token=refresh_token,
    )
