"""Use case: exchange a refresh token for new tokens."""

from identity.application.ports import AccessTokenIssuer, Clock, SessionStore, UserRepository
from identity.application.tokens import Tokens, issue_tokens
from identity.domain.errors import SessionExpired


async def refresh(
    refresh_token: str,
    *,
    users: UserRepository,
    sessions: SessionStore,
    access_tokens: AccessTokenIssuer,
    clock: Clock,
) -> Tokens:
    """Rotate the refresh token; the new access token has the user's current roles.

    The user is read before the token is rotated. Otherwise a database failure would cost
    the user the session.

    Raises:
        SessionExpired: the token is unknown, ended or already rotated, or its user is deleted.
        SessionStoreUnavailable: the session store cannot be reached.
    """
    session = await sessions.find(refresh_token)
    if session is None:
        raise SessionExpired
    user = await users.get(session.user_id)
    if user is None:
        await sessions.end(session)
        raise SessionExpired
    next_token = await sessions.rotate(session)
    return issue_tokens(user, next_token, access_tokens=access_tokens, now=clock())
