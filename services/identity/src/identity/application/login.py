"""Use case: log in with e-mail address and password."""

from identity.application.ports import (
    AccessTokenIssuer,
    Clock,
    PasswordHasher,
    SessionStore,
    UserRepository,
)
from identity.application.tokens import Tokens, issue_tokens
from identity.domain.errors import InvalidCredentials, SessionStoreUnavailable
from identity.domain.validation import validate_email


async def login(
    email: str,
    password: str,
    *,
    users: UserRepository,
    passwords: PasswordHasher,
    sessions: SessionStore,
    access_tokens: AccessTokenIssuer,
    clock: Clock,
) -> Tokens:
    """Check the password and begin a session.

    Without the session store only an access token is issued. Users can still buy tickets,
    and log in again when the token expires.

    Raises:
        InvalidCredentials: unknown address or wrong password; both take the same time.
        Busy: too many passwords are waiting to be checked.
    """
    found = None if validate_email(email) else await users.find(email.lower())
    matched = await passwords.matches(password, found.password_hash if found else None)
    if found is None or not matched:
        raise InvalidCredentials
    try:
        refresh_token = await sessions.open(found.user.id)
    except SessionStoreUnavailable:
        refresh_token = ""
    return issue_tokens(found.user, refresh_token, access_tokens=access_tokens, now=clock())
