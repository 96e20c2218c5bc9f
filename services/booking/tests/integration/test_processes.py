"""Booking's processes: messages through a real broker, and a graceful end."""

import asyncio
import base64
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from booking.bootstrap import run_relay, run_worker
from booking.config import RelaySettings, WorkerSettings
from goticket.catalog.v1 import events_pb2
from goticket_contracts import event_types
from goticket_contracts.topology import BOOKING_CATALOG_EVENTS
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.dead_letters import list_dead_letters
from goticket_platform.messaging.outbox import Outbox, OutboxMessage
from goticket_testing.databases import DatabaseFactory
from goticket_testing.rpc_keys import caller_keys_setting, rpc_key_setting

if TYPE_CHECKING:
    from services.booking.tests.integration.conftest import BookingSystem

DEADLINE_SECONDS = 30


@asynccontextmanager
async def relay_and_worker(dsn: str, amqp_url: str, redis_url: str) -> AsyncIterator[None]:
    stop = Stop()
    relay = RelaySettings(database_url=dsn, amqp_url=amqp_url)
    worker = WorkerSettings(database_url=dsn, amqp_url=amqp_url, redis_url=redis_url)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run_relay(relay, stop))
        tasks.create_task(run_worker(worker, stop))
        yield
        stop.set()


async def publish(system: "BookingSystem", event: events_pb2.EventState) -> None:
    """Publish a message of the catalog by the relay of this schema."""
    message = OutboxMessage(
        type=event_types.EVENT_PUBLISHED,
        aggregate_id=system.add_to_catalog().event.id,
        aggregate_version=event.version,
        partition_id=system.add_to_catalog().event.id,
        payload=events_pb2.EventPublished(event=event),
        occurred_at=datetime.now(UTC),
    )
    async with system.pool.acquire() as connection:
        await Outbox("booking").append(connection, [message])


async def test_the_worker_applies_events_and_dead_letters_an_unreadable_message(
    system: "BookingSystem", amqp_url: str, redis_url: str
) -> None:
    catalog = system.add_to_catalog(7)
    message = events_pb2.EventState(
        id=str(catalog.event.id),
        organizer_id=str(catalog.event.organizer_id),
        name="Metallica Live",
        currency="EUR",
        timezone="Europe/Warsaw",
        status=events_pb2.EventState.STATUS_PUBLISHED,
        version=1,
        ticket_types=[
            events_pb2.TicketTypeState(
                id=str(catalog.offers[0].id), name="A", price=1, capacity=7, max_per_booking=10
            )
        ],
    )
    message.starts_at.FromDatetime(catalog.event.starts_at)
    message.ends_at.FromDatetime(catalog.event.ends_at)
    unreadable = events_pb2.EventState(id="nonsense", version=1)
    async with relay_and_worker(system.dsn, amqp_url, redis_url), asyncio.timeout(DEADLINE_SECONDS):
        await publish(system, unreadable)
        await publish(system, message)
        while not await system.bookings.find_inventories([catalog.event.id]):
            await asyncio.sleep(0.02)
        while not (dead := await list_dead_letters(amqp_url, BOOKING_CATALOG_EVENTS)):
            await asyncio.sleep(0.02)
    [inventory] = await system.bookings.find_inventories([catalog.event.id])
    expected = replace(catalog.event, location="")
    assert inventory.event == expected
    assert [kind.available for kind in inventory.active_ticket_types] == [7]
    assert "not an event" in dead[0].reason


@pytest.mark.parametrize("command", ["serve", "relay", "worker", "sweeper"])
async def test_a_process_starts_without_other_services_and_ends_in_order(
    command: str, database: DatabaseFactory
) -> None:
    settings = {
        "BOOKING_DATABASE_URL": await database("booking"),
        "BOOKING_REDIS_URL": "redis://127.0.0.1:1/0",
        "BOOKING_AMQP_URL": "amqp://127.0.0.1:1/",
        "BOOKING_CATALOG_TARGET": "127.0.0.1:1",
        "BOOKING_GRPC_LISTEN": "127.0.0.1:0",
        "BOOKING_RPC_KEY": rpc_key_setting("booking"),
        "BOOKING_RPC_CALLER_KEYS": caller_keys_setting("booking"),
        "BOOKING_TICKET_KEY": base64.b64encode(bytes(32)).decode(),
    }
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("booking"),
        command,
        env=os.environ | settings,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(DEADLINE_SECONDS):
        log = b""
        while b'"ops"' not in log:
            line = await process.stderr.readline()
            assert line, log
            log += line
        process.send_signal(signal.SIGTERM)
        rest = await process.stderr.read()
        assert await process.wait() == 0, rest
    assert b"Traceback" not in log + rest


async def test_a_process_that_lacks_settings_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BOOKING_")]:
        monkeypatch.delenv(name)
    code, output = await run("serve")
    assert code == 1
    assert "BOOKING_DATABASE_URL: is not set" in output
    assert "BOOKING_TICKET_KEY: is not set" in output
    assert "BOOKING_RPC_KEY: is not set" in output
    assert "BOOKING_RPC_CALLER_KEYS: is not set" in output


async def run(*arguments: str, **settings: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("booking"),
        *arguments,
        env=os.environ | settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_the_command_line_migrates_and_lists_dead_letters(
    database: DatabaseFactory, amqp_url: str
) -> None:
    dsn = await database("booking")
    code, output = await run("migrate", "status", BOOKING_DATABASE_URL=dsn)
    names = ("outbox/0001_create_table", "inbox/0001_create_table", "0001_booking")
    assert (code, output.splitlines()) == (0, [f"applied  {name}" for name in names])
    assert await run("dead-letters", "list", BOOKING_AMQP_URL=amqp_url) == (0, "")
    code, output = await run("nonsense")
    assert code == 2
    assert output.startswith("usage: booking serve")
