"""Use case: log in with e-mail address and password."""

from goticket_kernel.text import InvalidText

from identity.application.find_user import find_by_email
from identity.application.ports import (
    AccessTokenIssuer,
    Clock,
    PasswordHasher,
    SessionStore,
    UserRepository,
)
from identity.application.tokens import Tokens, issue_tokens
from identity.domain.errors import InvalidCredentials, SessionStoreUnavailable
from identity.domain.validation import ParseEmail, prepare_password


async def login(
    email: str,
    password: str,
    *,
    users: UserRepository,
    passwords: PasswordHasher,
    sessions: SessionStore,
    access_tokens: AccessTokenIssuer,
    parse_email: ParseEmail,
    clock: Clock,
) -> Tokens:
    """Check the password and begin a session.

    Without the session store only an access token is issued. Users can still buy tickets,
    and log in again when the token expires.

    Raises:
        InvalidCredentials: unknown address or wrong password; both take the same time.
        Busy: too many passwords are waiting to be checked.
    """
    try:
        # Before the account is read: the time of this refusal tells nothing about accounts.
        prepared = prepare_password(password)
    except InvalidText:
        raise InvalidCredentials from None
    found = await find_by_email(email, users=users, parse_email=parse_email)
    matched = await passwords.matches(prepared, found.password_hash if found else None)
    if found is None or not matched:
        raise InvalidCredentials
    try:
        refresh_token = await sessions.open(found.user.id)
    except SessionStoreUnavailable:
        refresh_token = ""
    return issue_tokens(found.user, refresh_token, access_tokens=access_tokens, now=clock())
