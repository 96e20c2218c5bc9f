"""A database with an outbox and an inbox, and a broker of a test's own."""

import itertools
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio
from goticket_platform.postgres import open_pool
from goticket_testing.backend import RabbitBackend, ServerSource, running
from goticket_testing.databases import Postgres
from goticket_testing.messaging import SCHEMA

TABLES = """
CREATE TABLE booking.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id uuid NOT NULL,
    type text NOT NULL,
    aggregate_id uuid NOT NULL,
    aggregate_version bigint NOT NULL,
    partition_id uuid NOT NULL,
    payload json NOT NULL,
    headers json NOT NULL DEFAULT '{}',
    occurred_at timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    available_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_aggregate_idx ON booking.outbox (aggregate_id, id);
CREATE TABLE booking.inbox (
    consumer text,
    message_id uuid,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message_id)
);
CREATE INDEX inbox_received_at_idx ON booking.inbox (received_at);
"""

_numbers = itertools.count(1)


@pytest_asyncio.fixture
async def dsn(postgres_server: Postgres) -> AsyncIterator[str]:
    """The URL of a database of this test's own, with an outbox and an inbox."""
    name = f"messaging_{next(_numbers)}"
    postgres_server.create_database(name)
    url = postgres_server.dsn(SCHEMA, name)
    connection = await asyncpg.connect(url)
    await connection.execute(TABLES)
    await connection.close()
    yield url
    await postgres_server.drop(name)


@pytest.fixture
def own_broker(server_source: ServerSource) -> Iterator[RabbitBackend]:
    """A broker for a test that stops it.

    RabbitMQ 3.10 that stops soon after its first declarations was seen to come back
    with every later declaration failing; that must not reach other tests.
    """
    with running(server_source.rabbitmq()) as broker:
        yield broker


@pytest_asyncio.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool on that database."""
    pool = await open_pool(dsn, max_size=20)
    yield pool
    await pool.close()
