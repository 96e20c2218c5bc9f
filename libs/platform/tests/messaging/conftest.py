"""A database with an outbox and an inbox, and the spans of a test."""

import itertools
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio
from goticket_platform.postgres import open_pool
from goticket_testing.databases import Postgres
from goticket_testing.messaging import SCHEMA
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

TABLES = """
CREATE TABLE booking.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL,
    type text NOT NULL,
    aggregate_id uuid NOT NULL,
    aggregate_version bigint NOT NULL,
    partition_id uuid NOT NULL,
    payload jsonb NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}',
    occurred_at timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    available_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_aggregate_idx ON booking.outbox (aggregate_id, id);
CREATE TABLE booking.inbox (
    consumer text,
    event_id uuid,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
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


@pytest_asyncio.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool on that database."""
    pool = await open_pool(dsn, max_size=20)
    yield pool
    await pool.close()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Whatever spans end during the test."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()
