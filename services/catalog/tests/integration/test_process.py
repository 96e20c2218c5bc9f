"""The `catalog` command as a process of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
import pytest
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from goticket.catalog.v1.events_pb2 import EventPublished
from goticket_platform.ids import new_id
from goticket_platform.messaging.outbox import Outbox, OutboxMessage
from goticket_platform.rpc.client import call, open_channel
from goticket_platform.rpc.errors import RemoteError
from goticket_testing.databases import DatabaseFactory

ENTRY = "from catalog.entrypoints.cli import main; main()"
DEADLINE_SECONDS = 30


def an_announcement() -> OutboxMessage:
    event_id = new_id()
    return OutboxMessage(
        type="goticket.catalog.event.published.v1",
        aggregate_id=event_id,
        aggregate_version=1,
        partition_id=event_id,
        payload=EventPublished(event=pb.Event(id=str(event_id), version=1)),
        occurred_at=datetime.now(UTC),
    )


@asynccontextmanager
async def process(
    *arguments: str, settings: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `catalog …` with these settings only; end it, however the block ends."""
    inherited = {key: value for key, value in os.environ.items() if "CATALOG_" not in key}
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        ENTRY,
        *arguments,
        env={**inherited, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def logged_port(running: asyncio.subprocess.Process, kind: str) -> int:
    """Wait for the log line that says where `kind` listens."""
    assert running.stderr is not None
    async with asyncio.timeout(DEADLINE_SECONDS):
        async for line in running.stderr:
            entry = json.loads(line)
            if entry.get("event") == "listening" and kind in entry:
                return int(entry[kind].rpartition(":")[2])
    raise AssertionError("it ended without listening")


async def test_it_serves_until_told_to_stop_and_then_ends_with_status_0(
    database: DatabaseFactory,
) -> None:
    settings = {
        "CATALOG_DATABASE_URL": await database("catalog"),
        "CATALOG_GRPC_LISTEN": "127.0.0.1:0",
        "CATALOG_BOOKING_TARGET": "127.0.0.1:1",
    }
    async with process("serve", settings=settings) as running:
        port = await logged_port(running, "grpc")
        async with open_channel(f"127.0.0.1:{port}") as channel:
            listed = await call(CatalogServiceStub(channel).ListEvents, pb.ListEventsRequest())
        assert list(listed.events) == []
        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await running.wait() == 0


async def test_it_starts_without_its_database_and_says_unavailable() -> None:
    settings = {
        "CATALOG_DATABASE_URL": "postgresql://catalog@127.0.0.1:1/goticket",
        "CATALOG_GRPC_LISTEN": "127.0.0.1:0",
        "CATALOG_BOOKING_TARGET": "127.0.0.1:1",
    }
    async with process("serve", settings=settings) as running:
        port = await logged_port(running, "grpc")
        async with open_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(RemoteError) as refused:
                await call(CatalogServiceStub(channel).ListEvents, pb.ListEventsRequest())
        assert refused.value.code == "unavailable"


async def test_it_relays_what_is_in_the_outbox_until_told_to_stop(
    database: DatabaseFactory, amqp_url: str
) -> None:
    dsn = await database("catalog")
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await Outbox("catalog").append(connection, [an_announcement()])
        settings = {"CATALOG_DATABASE_URL": dsn, "CATALOG_AMQP_URL": amqp_url}
        async with process("relay", settings=settings) as running:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while await connection.fetchval("SELECT count(*) FROM catalog.outbox"):
                    await asyncio.sleep(0.05)
            running.send_signal(signal.SIGTERM)
            async with asyncio.timeout(DEADLINE_SECONDS):
                assert await running.wait() == 0
    finally:
        await connection.close()


@pytest.mark.parametrize("command", ["serve", "relay"])
async def test_it_names_every_setting_that_is_missing(command: str) -> None:
    async with process(command, settings={}) as running:
        _, said = await running.communicate()
    missing = {
        "serve": ["CATALOG_DATABASE_URL", "CATALOG_GRPC_LISTEN", "CATALOG_BOOKING_TARGET"],
        "relay": ["CATALOG_DATABASE_URL", "CATALOG_AMQP_URL"],
    }
    assert running.returncode == 1
    assert [name for name in missing[command] if name not in said.decode()] == []


async def test_it_says_how_its_migrations_stand(database: DatabaseFactory) -> None:
    settings = {"CATALOG_DATABASE_URL": await database("catalog")}
    async with process("migrate", "status", settings=settings) as running:
        said, _ = await running.communicate()
    assert running.returncode == 0
    assert "applied  0001_events" in said.decode().splitlines()


async def test_an_unknown_command_gets_the_usage() -> None:
    async with process("dance", settings={}) as running:
        _, said = await running.communicate()
    assert running.returncode == 2
    assert said.decode().startswith("usage: catalog serve | relay")
