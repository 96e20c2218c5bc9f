"""The `catalog` command as a separate process."""

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
from goticket.catalog.v1.events_pb2 import EventPublished, EventState
from goticket_contracts.event_types import EVENT_PUBLISHED
from goticket_platform.ids import new_id
from goticket_platform.messaging.outbox import Outbox, OutboxMessage
from goticket_platform.rpc.client import call, open_channel
from goticket_platform.rpc.errors import RemoteError
from goticket_testing.databases import DatabaseFactory

PROGRAM = "from catalog.entrypoints.cli import main; main()"
TIMEOUT_SECONDS = 30


def make_message() -> OutboxMessage:
    event_id = new_id()
    return OutboxMessage(
        type=EVENT_PUBLISHED,
        aggregate_id=event_id,
        aggregate_version=1,
        partition_id=event_id,
        payload=EventPublished(event=EventState(id=str(event_id), version=1)),
        occurred_at=datetime.now(UTC),
    )


@asynccontextmanager
async def process(
    *arguments: str, settings: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `catalog …` with only these settings; kill it at the end of the block."""
    inherited = {key: value for key, value in os.environ.items() if "CATALOG_" not in key}
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
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
    """Wait for the log line with the address of `kind`; return the port."""
    assert running.stderr is not None
    async with asyncio.timeout(TIMEOUT_SECONDS):
        async for line in running.stderr:
            entry = json.loads(line)
            if entry.get("event") == "listening" and kind in entry:
                return int(entry[kind].rpartition(":")[2])
    raise AssertionError("the process ended before it listened")


async def test_serve_stops_at_sigterm_with_status_0(
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
        async with asyncio.timeout(TIMEOUT_SECONDS):
            assert await running.wait() == 0


async def test_serve_starts_without_its_database_and_responds_unavailable() -> None:
    settings = {
        "CATALOG_DATABASE_URL": "postgresql://catalog@127.0.0.1:1/goticket",
        "CATALOG_GRPC_LISTEN": "127.0.0.1:0",
        "CATALOG_BOOKING_TARGET": "127.0.0.1:1",
    }
    async with process("serve", settings=settings) as running:
        port = await logged_port(running, "grpc")
        async with open_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(RemoteError) as error:
                await call(CatalogServiceStub(channel).ListEvents, pb.ListEventsRequest())
        assert error.value.code == "unavailable"


async def test_relay_publishes_the_outbox_and_stops_at_sigterm(
    database: DatabaseFactory, amqp_url: str
) -> None:
    dsn = await database("catalog")
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await Outbox("catalog").append(connection, [make_message()])
        settings = {"CATALOG_DATABASE_URL": dsn, "CATALOG_AMQP_URL": amqp_url}
        async with process("relay", settings=settings) as running:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while await connection.fetchval("SELECT count(*) FROM catalog.outbox"):
                    await asyncio.sleep(0.05)
            running.send_signal(signal.SIGTERM)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                assert await running.wait() == 0
    finally:
        await connection.close()


@pytest.mark.parametrize("command", ["serve", "relay"])
async def test_every_missing_setting_is_named(command: str) -> None:
    async with process(command, settings={}) as running:
        _, output = await running.communicate()
    missing = {
        "serve": ["CATALOG_DATABASE_URL", "CATALOG_GRPC_LISTEN", "CATALOG_BOOKING_TARGET"],
        "relay": ["CATALOG_DATABASE_URL", "CATALOG_AMQP_URL"],
    }
    assert running.returncode == 1
    assert [name for name in missing[command] if name not in output.decode()] == []


async def test_migrate_status_lists_the_applied_migrations(database: DatabaseFactory) -> None:
    settings = {"CATALOG_DATABASE_URL": await database("catalog")}
    async with process("migrate", "status", settings=settings) as running:
        output, _ = await running.communicate()
    assert running.returncode == 0
    lines = output.decode().splitlines()
    assert lines
    assert all(line.startswith("applied  ") for line in lines)


async def test_moved_events_prints_nothing_without_events(database: DatabaseFactory) -> None:
    settings = {"CATALOG_DATABASE_URL": await database("catalog")}
    async with process("moved-events", settings=settings) as running:
        output, _ = await running.communicate()
    assert (running.returncode, output) == (0, b"")


async def test_moved_events_without_a_database_ends_with_1_and_a_reason() -> None:
    settings = {"CATALOG_DATABASE_URL": "postgresql://catalog@127.0.0.1:1/goticket"}
    async with process("moved-events", settings=settings) as running:
        _, output = await running.communicate()
    assert running.returncode == 1
    assert output.count(b"\n") == 1


async def test_an_unknown_command_prints_the_usage() -> None:
    async with process("dance", settings={}) as running:
        _, output = await running.communicate()
    assert running.returncode == 2
    assert output.decode().startswith("usage: catalog serve | relay | moved-events")
