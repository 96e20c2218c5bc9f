"""Fixtures: the event repository over a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from catalog.adapters.event_repository import SESSION_SETTINGS, PostgresEventRepository
from goticket_platform.messaging.outbox import Outbox, OutboxNotifier
from goticket_platform.postgres import open_pool
from goticket_testing.databases import DatabaseFactory


@pytest.fixture
async def pool(database: DatabaseFactory) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(await database("catalog"), settings=SESSION_SETTINGS)
    yield pool
    await asyncio.wait_for(pool.close(), 10)


@pytest.fixture
async def events(pool: asyncpg.Pool) -> AsyncIterator[PostgresEventRepository]:
    notifier = OutboxNotifier(pool, "catalog")
    yield PostgresEventRepository(pool, Outbox("catalog"), notifier)
    await notifier.close()
