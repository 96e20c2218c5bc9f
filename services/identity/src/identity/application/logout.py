"""Use case: end a session."""

from identity.application.ports import SessionStore


async def logout(refresh_token: str, *, sessions: SessionStore) -> None:
    """End the session of a refresh token; an unknown token changes nothing.

    Access tokens that were issued before stay valid until they expire.

    Raises:
        SessionStoreUnavailable: the session store cannot be reached.
    """
    session = await sessions.find(refresh_token)
    if session is not None:
        await sessions.end(session)
