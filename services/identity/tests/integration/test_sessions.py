"""Refresh tokens in a real Redis."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from uuid import uuid4

import pytest
import pytest_asyncio
from identity.adapters.sessions import TRADED_SECONDS, RedisSessions, connect
from identity.application.ports import Session
from identity.domain.errors import SessionExpired, Unavailable
from redis.asyncio import Redis

LIFETIME = timedelta(days=30)
NOTHING_LISTENS = "redis://127.0.0.1:1/0"


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def sessions(redis: Redis) -> RedisSessions:
    return RedisSessions(redis, LIFETIME)


async def found(sessions: RedisSessions, token: str) -> Session:
    session = await sessions.find(token)
    assert session
    return session


async def test_redis_never_sees_a_token(sessions: RedisSessions, redis: Redis) -> None:
    user_id = uuid4()
    token = await sessions.open(user_id)
    assert len(token) >= 43
    key = f"goticket:session:{sha256(token.encode()).hexdigest()}"
    stored = {name: await redis.get(name) for name in await redis.keys("*")}
    assert json.loads(stored[key] or "")["userId"] == str(user_id)
    assert token not in repr(stored)
    for name in stored:
        assert LIFETIME.total_seconds() - 60 < await redis.ttl(name) <= LIFETIME.total_seconds()


async def test_each_trade_gives_the_next_token_of_the_same_user(sessions: RedisSessions) -> None:
    user_id = uuid4()
    token = await sessions.open(user_id)
    seen = {token}
    for _ in range(5):
        session = await found(sessions, token)
        assert session.user_id == user_id
        token = await sessions.rotate(session)
        seen.add(token)
    assert len(seen) == 6


async def test_a_token_traded_by_many_at_once_is_traded_once_and_the_family_ends(
    sessions: RedisSessions,
) -> None:
    session = await found(sessions, await sessions.open(uuid4()))
    barrier = asyncio.Barrier(50)

    async def trade() -> str:
        await barrier.wait()
        return await sessions.rotate(session)

    results = await asyncio.gather(*(trade() for _ in range(50)), return_exceptions=True)
    winners = [result for result in results if isinstance(result, str)]
    assert len(winners) == 1
    assert sum(isinstance(result, SessionExpired) for result in results) == 49
    # Two hold the same token, and nobody knows which is the thief.
    with pytest.raises(SessionExpired):
        await sessions.rotate(await found(sessions, winners[0]))


async def test_a_copied_token_ends_only_its_own_family(sessions: RedisSessions) -> None:
    user_id = uuid4()
    copied = await found(sessions, await sessions.open(user_id))
    other = await found(sessions, await sessions.open(user_id))
    newest = await sessions.rotate(copied)
    with pytest.raises(SessionExpired):
        await sessions.rotate(copied)
    with pytest.raises(SessionExpired):
        await sessions.rotate(await found(sessions, newest))
    assert await sessions.rotate(other)


async def test_a_traded_token_is_remembered_for_a_day_only(
    sessions: RedisSessions, redis: Redis
) -> None:
    session = await found(sessions, await sessions.open(uuid4()))
    await sessions.rotate(session)
    assert 0 < await redis.ttl(f"goticket:session:{session.token_hash}") <= TRADED_SECONDS


async def test_an_ended_session_stays_ended(sessions: RedisSessions) -> None:
    first = await sessions.open(uuid4())
    session = await found(sessions, first)
    newest = await sessions.rotate(session)
    await sessions.end(session)
    await sessions.end(session)
    assert await sessions.find(first) is None
    with pytest.raises(SessionExpired):
        await sessions.rotate(await found(sessions, newest))


async def test_an_unknown_token_is_nothing(sessions: RedisSessions) -> None:
    assert await sessions.find("") is None
    assert await sessions.find("🎸\0" * 1000) is None


async def test_a_redis_that_is_away_is_unavailable() -> None:
    redis = connect(NOTHING_LISTENS)
    sessions = RedisSessions(redis, LIFETIME)
    session = Session(uuid4(), "family", "hash")
    with pytest.raises(Unavailable):
        await sessions.open(session.user_id)
    with pytest.raises(Unavailable):
        await sessions.find("token")
    with pytest.raises(Unavailable):
        await sessions.rotate(session)
    with pytest.raises(Unavailable):
        await sessions.end(session)
    await redis.aclose()
