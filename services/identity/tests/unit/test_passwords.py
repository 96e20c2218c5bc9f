"""bcrypt at the lowest cost: the same code, in milliseconds."""

import asyncio
from collections.abc import Iterator

import pytest
from identity.adapters.passwords import WAITING_PER_CORE, BcryptPasswords
from identity.domain.errors import Busy


@pytest.fixture
def passwords() -> Iterator[BcryptPasswords]:
    hasher = BcryptPasswords(cost=4, cores=1)
    yield hasher
    hasher.close()


async def test_a_password_matches_its_own_hash_alone(passwords: BcryptPasswords) -> None:
    stored = await passwords.hash("difference engine")
    assert stored.startswith("$2b$04$")
    assert await passwords.matches("difference engine", stored)
    assert not await passwords.matches("difference engines", stored)
    assert stored != await passwords.hash("difference engine")


async def test_nobodys_hash_never_matches(passwords: BcryptPasswords) -> None:
    assert not await passwords.matches("difference engine", None)


async def test_a_password_longer_than_bcrypt_reads_does_not_match_its_beginning(
    passwords: BcryptPasswords,
) -> None:
    stored = await passwords.hash("x" * 72)
    assert await passwords.matches("x" * 72, stored)
    assert not await passwords.matches("x" * 73, stored)
    assert not await passwords.matches("🎸" * 1000, stored)
    assert not await passwords.matches("", stored)


async def test_a_full_line_turns_the_next_away_and_empties_again(
    passwords: BcryptPasswords,
) -> None:
    places = 1 + WAITING_PER_CORE
    results = await asyncio.gather(
        *(passwords.hash("difference engine") for _ in range(places + 5)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, Busy)]
    assert len(refused) == 5
    assert await passwords.hash("difference engine")


async def test_whoever_goes_away_leaves_the_line(passwords: BcryptPasswords) -> None:
    waiting = [
        asyncio.create_task(passwords.hash("difference engine"))
        for _ in range(1 + WAITING_PER_CORE)
    ]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await passwords.hash("difference engine")
