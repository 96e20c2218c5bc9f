"""End a session."""

from identity.application.ports import Sessions


async def logout(refresh_token: str, *, sessions: Sessions) -> None:
    """End the session a refresh token belongs to; without one there is nothing to end.

    Access tokens already given out stay good until they expire.

    Raises:
        Unavailable: the session store cannot be reached.
    """
    session = await sessions.find(refresh_token)
    if session is not None:
        await sessions.end(session)
