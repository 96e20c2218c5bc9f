"""Users in a real PostgreSQL: concurrent changes, outbox rows and indexes."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio
from goticket_kernel.actor import Actor
from goticket_kernel.errors import Forbidden
from goticket_platform.postgres import open_pool
from goticket_testing.databases import DatabaseFactory
from identity.adapters.email_addresses import parse_email_address
from identity.adapters.password_hasher import BcryptPasswordHasher
from identity.adapters.user_repository import QUERIES, PostgresUserRepository
from identity.application.create_first_admin import create_first_admin
from identity.application.register import register
from identity.application.set_roles import set_roles
from identity.domain.errors import EmailTaken, LastAdmin
from identity.domain.user import Role, User, register_user

NOW = datetime(2030, 1, 1, tzinfo=UTC)
WORKERS = 40


class FakePasswordHasher:
    """Does not hash, because these tests are about rows."""

    async def hash(self, password: str) -> str:
        return f"hash of {len(password)} characters"

    async def matches(self, password: str, password_hash: str | None) -> bool:
        raise NotImplementedError


@pytest_asyncio.fixture
async def pool(database: DatabaseFactory) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_pool(
        await database("identity"), min_size=10
    )  # open connections, so that concurrent calls begin together
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def users(pool: asyncpg.Pool) -> AsyncIterator[PostgresUserRepository]:
    repository = PostgresUserRepository(pool)
    yield repository
    await repository.close()


def clock() -> datetime:
    return NOW


async def add(users: PostgresUserRepository, *roles: Role) -> User:
    user_id = uuid4()
    registration = register_user(
        user_id=user_id,
        email=f"{user_id}@goticket.example",
        password="difference engine",
        name="Ada 🎸",
        now=NOW,
        parse_email=parse_email_address,
        roles=roles,
    )
    registered = registration.registered
    async with users.transaction() as transaction:
        assert await transaction.add(registered.user, "hash")
        await transaction.record(registered)
    return registered.user


async def test_a_stored_user_is_read_unchanged(
    users: PostgresUserRepository, pool: asyncpg.Pool
) -> None:
    user = await add(users, Role.ORGANIZER)
    assert await users.get(user.id) == user
    found = await users.find(user.email)
    assert found
    assert (found.user, found.password_hash) == (user, "hash")
    assert await users.get(uuid4()) is None
    assert await users.find("nobody@goticket.example") is None

    row = await pool.fetchrow("SELECT * FROM identity.outbox")
    assert row
    assert row["type"] == "goticket.identity.user.registered.v1"
    assert row["aggregate_id"] == row["partition_id"] == user.id
    assert row["occurred_at"] == NOW
    # Only ids and times: no personal data.
    assert json.loads(row["payload"]) == {
        "userId": str(user.id),
        "registeredAt": "2030-01-01T00:00:00Z",
    }


async def test_one_of_many_concurrent_registrations_of_an_address_succeeds(
    users: PostgresUserRepository, pool: asyncpg.Pool
) -> None:
    barrier = asyncio.Barrier(WORKERS)

    async def try_to_register(number: int) -> User:
        email = "ada@goticket.example"
        await barrier.wait()
        return await register(
            email.upper() if number % 2 else email,
            "difference engine",
            f"Ada {number}",
            users=users,
            passwords=FakePasswordHasher(),
            parse_email=parse_email_address,
            clock=clock,
            new_id=uuid4,
        )

    results = await asyncio.gather(
        *(try_to_register(number) for number in range(WORKERS)), return_exceptions=True
    )
    registered_users = [result for result in results if isinstance(result, User)]
    assert len(registered_users) == 1
    assert sum(isinstance(result, EmailTaken) for result in results) == WORKERS - 1
    assert await pool.fetchval("SELECT count(*) FROM identity.users") == 1
    assert [row["aggregate_id"] for row in await pool.fetch("SELECT * FROM identity.outbox")] == [
        registered_users[0].id
    ]


async def test_replicas_that_start_at_the_same_time_create_one_first_admin(
    users: PostgresUserRepository, pool: asyncpg.Pool
) -> None:
    barrier = asyncio.Barrier(8)

    async def start() -> User | None:
        await barrier.wait()
        return await create_first_admin(
            "admin@goticket.example",
            "difference engine",
            users=users,
            passwords=FakePasswordHasher(),
            parse_email=parse_email_address,
            clock=clock,
            new_id=uuid4,
        )

    created = [user for user in await asyncio.gather(*(start() for _ in range(8))) if user]
    assert len(created) == 1
    assert await pool.fetchval("SELECT count(*) FROM identity.outbox") == 1


async def test_admins_who_demote_each_other_concurrently_leave_one_admin(
    users: PostgresUserRepository, pool: asyncpg.Pool
) -> None:
    admins = [await add(users, Role.ADMIN) for _ in range(8)]
    barrier = asyncio.Barrier(len(admins))

    async def demote(actor: User, target: UUID) -> User:
        await barrier.wait()
        return await set_roles(Actor(actor.id, frozenset({"admin"})), target, [], users=users)

    others = [*admins[1:], admins[0]]
    results = await asyncio.gather(
        *(demote(actor, target.id) for actor, target in zip(admins, others, strict=True)),
        return_exceptions=True,
    )
    errors = [result for result in results if not isinstance(result, User)]
    assert all(isinstance(result, LastAdmin | Forbidden) for result in errors), errors
    assert await _admin_count(pool) >= 1


async def test_admins_who_resign_concurrently_leave_one_admin(
    users: PostgresUserRepository, pool: asyncpg.Pool
) -> None:
    admins = [await add(users, Role.ADMIN) for _ in range(8)]
    barrier = asyncio.Barrier(len(admins))

    async def resign(user: User) -> User:
        await barrier.wait()
        return await set_roles(Actor(user.id, frozenset({"admin"})), user.id, [], users=users)

    results = await asyncio.gather(*map(resign, admins), return_exceptions=True)
    assert [type(result) for result in results if not isinstance(result, User)] == [LastAdmin]
    assert await _admin_count(pool) == 1


async def test_an_index_serves_every_query(
    users: PostgresUserRepository, pool: asyncpg.Pool
) -> None:
    await add(users, Role.ADMIN)
    user_id = uuid4()
    expected: list[tuple[str, object, set[str]]] = [
        ("get_user", user_id, {"users_pkey"}),
        ("find_user", "ada@goticket.example", {"users_email_key"}),
        ("lock_user_and_admins", user_id, {"users_pkey", "users_admin_idx"}),
    ]
    async with pool.acquire() as connection, connection.transaction():
        # The planner would scan this small table. The test is whether an index can serve it.
        await connection.execute("SET LOCAL enable_seqscan = off")
        for name, argument, indexes in expected:
            rows = await connection.fetch(f"EXPLAIN {QUERIES[name]}", argument)
            plan = "\n".join(row[0] for row in rows)
            assert "Seq Scan" not in plan, plan
            assert all(index in plan for index in indexes), plan


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("email", ""),
        ("email", "Ada@goticket.example"),
        ("email", "ann@b\u00fccher.example"),
        ("name", ""),
        ("name", "x" * 801),
        ("roles", ["user", "root"]),
    ],
)
async def test_the_table_rejects_values_that_the_domain_rejects(
    users: PostgresUserRepository, pool: asyncpg.Pool, column: str, value: object
) -> None:
    user = await add(users)
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(f"UPDATE identity.users SET {column} = $2 WHERE id = $1", user.id, value)  # noqa: S608 - a column named by the test


async def test_bcrypt_at_its_default_cost_accepts_only_the_right_password() -> None:
    passwords = BcryptPasswordHasher(cost=12)
    stored = await passwords.hash("difference engine")
    assert stored.startswith("$2b$12$")
    assert await passwords.matches("difference engine", stored)
    passwords.close()


async def _admin_count(pool: asyncpg.Pool) -> int:
    count: int = await pool.fetchval(
        "SELECT count(*) FROM identity.users WHERE 'admin' = ANY (roles)"
    )
    return count
