"""Trade a refresh token for new tokens."""

from identity.application.ports import AccessTokens, Clock, Sessions, Users
from identity.application.tokens import Tokens, tokens_for
from identity.domain.errors import SessionExpired


async def refresh(
    refresh_token: str,
    *,
    users: Users,
    sessions: Sessions,
    access_tokens: AccessTokens,
    now: Clock,
) -> Tokens:
    """Rotate the token; the new access token carries the roles of this moment.

    The user is read before the token is traded: a database that is away must not
    cost anybody their session.

    Raises:
        SessionExpired: the token is unknown, ended, traded before, or its user is gone.
        Unavailable: the session store cannot be reached.
    """
    session = await sessions.find(refresh_token)
    if session is None:
        raise SessionExpired
    user = await users.get(session.user_id)
    if user is None:
        await sessions.end(session)
        raise SessionExpired
    next_token = await sessions.rotate(session)
    return tokens_for(user, next_token, access_tokens=access_tokens, now=now())
