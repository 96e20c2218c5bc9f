"""Sessions in a real Redis."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from uuid import uuid4

import pytest
import pytest_asyncio
from goticket_contracts.redis_names import session_key
from identity.adapters.session_store import ROTATED_TOKEN_SECONDS, RedisSessionStore, connect
from identity.application.ports import Session
from identity.domain.errors import SessionExpired, SessionStoreUnavailable
from redis.asyncio import Redis

LIFETIME = timedelta(days=30)
UNREACHABLE_URL = "redis://127.0.0.1:1/0"


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def sessions(redis: Redis) -> RedisSessionStore:
    return RedisSessionStore(redis, LIFETIME)


async def find(sessions: RedisSessionStore, token: str) -> Session:
    session = await sessions.find(token)
    assert session
    return session


async def test_redis_stores_only_hashes_of_tokens(
    sessions: RedisSessionStore, redis: Redis
) -> None:
    user_id = uuid4()
    token = await sessions.open(user_id)
    assert len(token) >= 43
    key = session_key(sha256(token.encode()).hexdigest())
    stored = {name: await redis.get(name) for name in await redis.keys("*")}
    assert json.loads(stored[key] or "")["userId"] == str(user_id)
    assert token not in repr(stored)
    for name in stored:
        assert LIFETIME.total_seconds() - 60 < await redis.ttl(name) <= LIFETIME.total_seconds()


async def test_each_rotation_returns_a_new_token_of_the_same_user(
    sessions: RedisSessionStore,
) -> None:
    user_id = uuid4()
    token = await sessions.open(user_id)
    seen = {token}
    for _ in range(5):
        session = await find(sessions, token)
        assert session.user_id == user_id
        token = await sessions.rotate(session)
        seen.add(token)
    assert len(seen) == 6


async def test_one_of_many_concurrent_rotations_succeeds_and_the_family_ends(
    sessions: RedisSessionStore,
) -> None:
    session = await find(sessions, await sessions.open(uuid4()))
    barrier = asyncio.Barrier(50)

    async def rotate() -> str:
        await barrier.wait()
        return await sessions.rotate(session)

    results = await asyncio.gather(*(rotate() for _ in range(50)), return_exceptions=True)
    new_tokens = [result for result in results if isinstance(result, str)]
    assert len(new_tokens) == 1
    assert sum(isinstance(result, SessionExpired) for result in results) == 49
    # Two callers had the same token, and it is unknown which of them is its owner.
    with pytest.raises(SessionExpired):
        await sessions.rotate(await find(sessions, new_tokens[0]))


async def test_a_reused_token_ends_only_its_own_family(sessions: RedisSessionStore) -> None:
    user_id = uuid4()
    reused = await find(sessions, await sessions.open(user_id))
    other = await find(sessions, await sessions.open(user_id))
    newest = await sessions.rotate(reused)
    with pytest.raises(SessionExpired):
        await sessions.rotate(reused)
    with pytest.raises(SessionExpired):
        await sessions.rotate(await find(sessions, newest))
    assert await sessions.rotate(other)


async def test_a_rotated_token_is_stored_for_one_day(
    sessions: RedisSessionStore, redis: Redis
) -> None:
    session = await find(sessions, await sessions.open(uuid4()))
    await sessions.rotate(session)
    assert 0 < await redis.ttl(session_key(session.token_hash)) <= ROTATED_TOKEN_SECONDS


async def test_an_ended_session_stays_ended(sessions: RedisSessionStore) -> None:
    first = await sessions.open(uuid4())
    session = await find(sessions, first)
    newest = await sessions.rotate(session)
    await sessions.end(session)
    await sessions.end(session)
    assert await sessions.find(first) is None
    with pytest.raises(SessionExpired):
        await sessions.rotate(await find(sessions, newest))


async def test_an_unknown_token_has_no_session(sessions: RedisSessionStore) -> None:
    assert await sessions.find("") is None
    assert await sessions.find("🎸\0" * 1000) is None


async def test_an_unreachable_redis_is_unavailable() -> None:
    redis = connect(UNREACHABLE_URL)
    sessions = RedisSessionStore(redis, LIFETIME)
    session = Session(uuid4(), "family", "hash")
    with pytest.raises(SessionStoreUnavailable):
        await sessions.open(session.user_id)
    with pytest.raises(SessionStoreUnavailable):
        await sessions.find("token")
    with pytest.raises(SessionStoreUnavailable):
        await sessions.rotate(session)
    with pytest.raises(SessionStoreUnavailable):
        await sessions.end(session)
    await redis.aclose()
