"""What somebody who logged in receives."""

from dataclasses import dataclass
from datetime import datetime

from identity.application.ports import AccessTokens
from identity.domain.user import User


@dataclass(frozen=True)
class Tokens:
    """An access token, the seconds it lives, and a refresh token ("" without a session)."""

    access_token: str
    expires_in: int
    refresh_token: str


def tokens_for(
    user: User, refresh_token: str, *, access_tokens: AccessTokens, now: datetime
) -> Tokens:
    """Sign an access token and put the refresh token beside it."""
    return Tokens(
        access_token=access_tokens.issue(user, now),
        expires_in=int(access_tokens.lifetime.total_seconds()),
        refresh_token=refresh_token,
    )
