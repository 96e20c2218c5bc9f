"""A database with outbox and inbox, and a broker, for one test."""

import itertools
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio
from goticket_platform.migrations import migrate_up
from goticket_platform.postgres import open_pool
from goticket_testing.backend import RabbitBackend, ServerSource, running
from goticket_testing.databases import Postgres
from goticket_testing.messaging import SCHEMA

_numbers = itertools.count(1)


@pytest_asyncio.fixture
async def dsn(postgres_server: Postgres) -> AsyncIterator[str]:
    """The URL of a new database with outbox and inbox."""
    name = f"messaging_{next(_numbers)}"
    postgres_server.create_database(name)
    url = postgres_server.dsn(SCHEMA, name)
    await migrate_up(url, f"{SCHEMA}.migrations")
    yield url
    await postgres_server.drop(name)


@pytest.fixture
def own_broker(server_source: ServerSource) -> Iterator[RabbitBackend]:
    """A broker for a test that stops it.

    A RabbitMQ 3.10 that stops soon after its first declarations can fail every declaration
    after its restart. Other tests must not share such a broker.
    """
    with running(server_source.rabbitmq()) as broker:
        yield broker


@pytest_asyncio.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool on that database."""
    pool = await open_pool(dsn, max_size=20)
    yield pool
    await pool.close()
