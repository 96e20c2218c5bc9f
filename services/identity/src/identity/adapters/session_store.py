"""Sessions in Redis. Redis stores only hashes of refresh tokens.

`goticket:session:<sha256 of token>`  JSON: the user and the family of the token
`goticket:session-family:<family>`    the hash of the family's newest token

A token is valid while it is the newest of its family. So a rotation is one
compare-and-set on the family, and ending a session deletes one key. No script uses
two keys, which might be on two nodes.
"""

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from uuid import UUID

from goticket_contracts.redis_names import session_family_key, session_key
from goticket_platform.ids import parse_id
from goticket_platform.logs import get_logger
from prometheus_client import Counter
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from identity.application.ports import Session
from identity.domain.errors import SessionExpired, SessionStoreUnavailable

TIMEOUT_SECONDS = 0.5
"""Longest time to connect to Redis, and to wait for a response."""
ROTATED_TOKEN_SECONDS = 24 * 3600
"""A rotated token is stored for this long, so that its reuse is detected."""
TOKEN_BYTES = 32

_ROTATED, _ENDED, _REUSED = 1, 0, -1

# The family may already have the new hash: after a lost connection the client sends the
# command again. This counts as rotated, not as reuse.
_ROTATE = f"""
local newest = redis.call('GET', KEYS[1])
if not newest then return {_ENDED} end
if newest ~= ARGV[1] and newest ~= ARGV[2] then
    redis.call('DEL', KEYS[1])
    return {_REUSED}
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return {_ROTATED}
"""

FAILURES = Counter("goticket_identity_session_store_failures", "Failed calls to the session store")
REUSED = Counter(
    "goticket_refresh_token_reuse", "Sessions ended because a refresh token was used twice"
)

logger = get_logger(__name__)


def connect(url: str) -> Redis:
    """Open a client with short timeouts; one retry reconnects to a restarted server."""
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )


class RedisSessionStore:
    """Sessions that expire `lifetime` after their last rotation."""

    def __init__(self, redis: Redis, lifetime: timedelta) -> None:
        self._redis = redis
        self._seconds = int(lifetime.total_seconds())
        self._rotate = redis.register_script(_ROTATE)

    async def open(self, user_id: UUID) -> str:
        """Begin a session; return its first refresh token."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        session = Session(user_id, family_id=secrets.token_hex(16), token_hash=_hash(token))
        with _redis_errors():
            await self._redis.set(
                session_family_key(session.family_id), session.token_hash, ex=self._seconds
            )
            await self._store(session)
        return token

    async def find(self, token: str) -> Session | None:
        """Return the session of a token, also of a token that was rotated within the last day."""
        token_hash = _hash(token)
        with _redis_errors():
            text = await self._redis.get(session_key(token_hash))
        if text is None:
            return None
        stored = json.loads(text)
        return Session(parse_id(stored["userId"]), stored["family"], token_hash)

    async def rotate(self, session: Session) -> str:
        """Replace the family's newest token by the next one.

        Raises:
            SessionExpired: the session has ended, or this token was rotated before.
        """
        token = secrets.token_urlsafe(TOKEN_BYTES)
        successor = Session(session.user_id, session.family_id, _hash(token))
        with _redis_errors():
            # First, so that the family's newest token can be found at any time.
            await self._store(successor)
            outcome = await self._rotate(
                keys=[session_family_key(session.family_id)],
                args=[session.token_hash, successor.token_hash, self._seconds],
            )
        # From here on no error may be raised: the old token is replaced, and its owner must
        # receive the new one.
        outdated = session if outcome == _ROTATED else successor
        with suppress(RedisError, OSError):
            await self._redis.expire(
                session_key(outdated.token_hash), ROTATED_TOKEN_SECONDS, lt=True
            )
        if outcome == _ROTATED:
            return token
        if outcome == _REUSED:
            REUSED.inc()
            logger.warning("refresh token reused, session ended", user_id=str(session.user_id))
        raise SessionExpired

    async def end(self, session: Session) -> None:
        """End the family; without it its tokens are invalid."""
        with _redis_errors():
            await self._redis.delete(session_family_key(session.family_id))
            await self._redis.delete(session_key(session.token_hash))

    async def _store(self, session: Session) -> None:
        text = json.dumps({"userId": str(session.user_id), "family": session.family_id})
        await self._redis.set(session_key(session.token_hash), text, ex=self._seconds)


@contextmanager
def _redis_errors() -> Iterator[None]:
    """Translate every failure to reach Redis to SessionStoreUnavailable."""
    try:
        yield
    except (RedisError, OSError) as error:
        FAILURES.inc()
        logger.warning("session store unavailable", error=type(error).__name__)
        raise SessionStoreUnavailable from error


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
