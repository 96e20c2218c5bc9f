"""Refresh tokens in Redis, of which it sees only the hashes.

`goticket:session:<sha256 of token>`  JSON: whose it is and which family it belongs to
`goticket:session-family:<family>`    the hash of the family's newest token

A token is good while it is its family's newest. So trading it is one
compare-and-set on the family, ending a session deletes one key, and no script
touches two keys (which might live on two nodes).
"""

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from uuid import UUID

from goticket_platform.logs import get_logger
from prometheus_client import Counter
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from identity.application.ports import Session
from identity.domain.errors import SessionExpired, Unavailable

ANSWER_SECONDS = 0.5
"""How long Redis may take to connect or answer before it counts as away."""
TRADED_SECONDS = 24 * 3600
"""How long a traded token is remembered, so that a copy of it is recognised."""
TOKEN_BYTES = 32

# 1: traded; 0: the family has ended; -1: not the newest token, so the family ends now.
# "Newest already" counts as traded: the command may be sent again after a lost connection.
_TRADE = """
local newest = redis.call('GET', KEYS[1])
if not newest then return 0 end
if newest ~= ARGV[1] and newest ~= ARGV[2] then
    redis.call('DEL', KEYS[1])
    return -1
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""

FAILURES = Counter("goticket_identity_session_store_failures", "Calls Redis did not answer")
COPIED = Counter("goticket_refresh_token_reuse", "Sessions ended as a token came twice")

logger = get_logger(__name__)


def connect(url: str) -> Redis:
    """Open a client that gives up soon; one more try finds a restarted server."""
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_connect_timeout=ANSWER_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )


class RedisSessions:
    """Sessions that live for `lifetime` after their last refresh."""

    def __init__(self, redis: Redis, lifetime: timedelta) -> None:
        self._redis = redis
        self._seconds = int(lifetime.total_seconds())
        self._trade = redis.register_script(_TRADE)

    async def open(self, user_id: UUID) -> str:
        """Begin a session; return its first refresh token."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        session = Session(user_id, family=secrets.token_hex(16), token_hash=_hash(token))
        with _redis_answers():
            await self._redis.set(_family_key(session), session.token_hash, ex=self._seconds)
            await self._store(session)
        return token

    async def find(self, token: str) -> Session | None:
        """Read what a token stands for, also when it was traded within the last day."""
        token_hash = _hash(token)
        with _redis_answers():
            text = await self._redis.get(_key(token_hash))
        if text is None:
            return None
        stored = json.loads(text)
        return Session(UUID(stored["userId"]), stored["family"], token_hash)

    async def rotate(self, session: Session) -> str:
        """Trade the family's newest token for the next."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        successor = Session(session.user_id, session.family, _hash(token))
        with _redis_answers():
            # First, so that there is no moment with a newest token nobody can look up.
            await self._store(successor)
            outcome = await self._trade(
                keys=[_family_key(session)],
                args=[session.token_hash, successor.token_hash, self._seconds],
            )
        # From here on nothing may fail: the token is traded and has to reach its owner.
        outdated = session if outcome == 1 else successor
        with suppress(RedisError, OSError):
            await self._redis.expire(_key(outdated.token_hash), TRADED_SECONDS, lt=True)
        if outcome == 1:
            return token
        if outcome == -1:
            COPIED.inc()
            logger.warning("refresh token came twice, session ended", user_id=str(session.user_id))
        raise SessionExpired

    async def end(self, session: Session) -> None:
        """End the family; its tokens mean nothing without it."""
        with _redis_answers():
            await self._redis.delete(_family_key(session))
            await self._redis.delete(_key(session.token_hash))

    async def _store(self, session: Session) -> None:
        text = json.dumps({"userId": str(session.user_id), "family": session.family})
        await self._redis.set(_key(session.token_hash), text, ex=self._seconds)


@contextmanager
def _redis_answers() -> Iterator[None]:
    """Turn every way of Redis being away into Unavailable."""
    try:
        yield
    except (RedisError, OSError) as error:
        FAILURES.inc()
        logger.warning("session store does not answer", error=type(error).__name__)
        raise Unavailable from error


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _key(token_hash: str) -> str:
    return f"goticket:session:{token_hash}"


def _family_key(session: Session) -> str:
    return f"goticket:session-family:{session.family}"
