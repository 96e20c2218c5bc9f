"""Password hashing with bcrypt at the lowest cost, which takes milliseconds."""

import asyncio
import base64
import hashlib
from collections.abc import Iterator

import bcrypt
import pytest
from identity.adapters.password_hasher import QUEUE_PER_CORE, BcryptPasswordHasher
from identity.domain.errors import Busy


@pytest.fixture
def passwords() -> Iterator[BcryptPasswordHasher]:
    hasher = BcryptPasswordHasher(cost=4, cores=1)
    yield hasher
    hasher.close()


async def test_a_password_matches_only_its_own_hash(passwords: BcryptPasswordHasher) -> None:
    stored = await passwords.hash("difference engine")
    assert stored.startswith("$2b$04$")
    assert await passwords.matches("difference engine", stored)
    assert not await passwords.matches("difference engines", stored)
    assert stored != await passwords.hash("difference engine")


async def test_a_missing_hash_never_matches(passwords: BcryptPasswordHasher) -> None:
    assert not await passwords.matches("difference engine", None)


async def test_every_byte_of_a_password_counts(passwords: BcryptPasswordHasher) -> None:
    stored = await passwords.hash("x" * 72)
    assert await passwords.matches("x" * 72, stored)
    for other in ("x" * 73, "x" * 71, "\U0001f3b8" * 1000, ""):
        assert not await passwords.matches(other, stored)
    long = await passwords.hash("\U0001f3b8" * 128)
    assert await passwords.matches("\U0001f3b8" * 128, long)
    assert not await passwords.matches("\U0001f3b8" * 127 + "x", long)


async def test_a_hash_is_no_hash_of_the_password_itself(passwords: BcryptPasswordHasher) -> None:
    stored = (await passwords.hash("difference engine")).encode()
    assert not bcrypt.checkpw(b"difference engine", stored)
    digest = base64.b64encode(hashlib.sha384(b"difference engine").digest())
    assert not bcrypt.checkpw(digest, stored)


async def test_a_full_queue_rejects_passwords_until_it_is_shorter(
    passwords: BcryptPasswordHasher,
) -> None:
    capacity = 1 + QUEUE_PER_CORE
    results = await asyncio.gather(
        *(passwords.hash("difference engine") for _ in range(capacity + 5)), return_exceptions=True
    )
    rejected = [result for result in results if isinstance(result, Busy)]
    assert len(rejected) == 5
    assert await passwords.hash("difference engine")


async def test_a_cancelled_caller_leaves_the_queue(passwords: BcryptPasswordHasher) -> None:
    waiting = [
        asyncio.create_task(passwords.hash("difference engine")) for _ in range(1 + QUEUE_PER_CORE)
    ]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await passwords.hash("difference engine")
