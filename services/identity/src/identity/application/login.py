"""Trade e-mail and password for tokens."""

from identity.application.ports import AccessTokens, Clock, Passwords, Sessions, Users
from identity.application.tokens import Tokens, tokens_for
from identity.domain.account_rules import email_problems
from identity.domain.errors import InvalidCredentials, Unavailable


async def login(
    email: str,
    password: str,
    *,
    users: Users,
    passwords: Passwords,
    sessions: Sessions,
    access_tokens: AccessTokens,
    now: Clock,
) -> Tokens:
    """Check the password and begin a session.

    Without the session store the access token comes alone: buying goes on, and the
    buyer logs in again when it ends.

    Raises:
        InvalidCredentials: no such address or a wrong password, after the same time.
        Busy: too many passwords wait to be checked.
    """
    known = None if email_problems(email) else await users.find(email.lower())
    matched = await passwords.matches(password, known.password_hash if known else None)
    if known is None or not matched:
        raise InvalidCredentials
    try:
        refresh_token = await sessions.open(known.user.id)
    except Unavailable:
        refresh_token = ""
    return tokens_for(known.user, refresh_token, access_tokens=access_tokens, now=now())
