"""The worker as a process, between a real broker, a real database and a real mail server."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from goticket.booking.v1 import events_pb2
from goticket_contracts.event_types import BOOKING_CONFIRMED, BOOKING_HELD
from goticket_contracts.topology import TOPOLOGY
from goticket_platform.ids import new_id
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.broker import open_channel
from goticket_platform.messaging.cloudevents import PublishedMessage, build_amqp_message
from goticket_platform.postgres import open_pool
from goticket_platform.telemetry import inject_context, tracer
from goticket_testing import messaging
from goticket_testing.databases import DatabaseFactory
from notification.bootstrap import run_worker
from notification.config import WorkerSettings
from notification.mail_server import Tls
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

# What conftest.py provides; test folders are no packages to import from.
MailExchange = Any
MakeConfirmed = Callable[..., events_pb2.BookingConfirmed]

COMMAND = Path(sys.executable).with_name("notification")
DEADLINE = 60.0
eventually = partial(messaging.eventually, seconds=DEADLINE)


@dataclass
class World:
    """Everything around the worker."""

    exchange: MailExchange
    amqp_url: str
    database_url: str
    pool: asyncpg.Pool
    processes: list[Process] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """The worker's settings."""
        return {
            **{name: value for name, value in os.environ.items() if "NOTIFICATION_" not in name},
            "NOTIFICATION_DATABASE_URL": self.database_url,
            "NOTIFICATION_AMQP_URL": self.amqp_url,
            "NOTIFICATION_SMTP_HOST": self.exchange.host,
            "NOTIFICATION_SMTP_PORT": str(self.exchange.port),
            "NOTIFICATION_SMTP_TLS": "none",
            "NOTIFICATION_SENDER": "GoTicket <tickets@goticket.example>",
            "NOTIFICATION_PUBLIC_URL": "https://goticket.example",
        }

    async def publish(self, *payloads: Message, kind: str = BOOKING_CONFIRMED) -> list[UUID]:
        """Publish an event for each payload as the relay does."""
        ids = []
        async with open_channel(self.amqp_url, TOPOLOGY, name="test") as (_, exchange):
            for payload in payloads:
                event = PublishedMessage(
                    id=new_id(),
                    type=kind,
                    source="/goticket/booking",
                    subject=str(new_id()),
                    version=1,
                    partition_key="event",
                    occurred_at=datetime.now(UTC),
                    payload=json_format.MessageToJson(payload),
                )
                await exchange.publish(build_amqp_message(event, inject_context()), kind)
                ids.append(event.id)
        return ids

    async def start_worker(self) -> Process:
        """Start a worker process."""
        process = await asyncio.create_subprocess_exec(
            COMMAND, "worker", env=self.environment(), stderr=asyncio.subprocess.DEVNULL
        )
        self.processes.append(process)
        return process

    async def run_command(self, *arguments: str) -> str:
        """Run another command of the service to its end; return what it printed."""
        process = await asyncio.create_subprocess_exec(
            COMMAND, *arguments, env=self.environment(), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(process.communicate(), DEADLINE)
        assert process.returncode == 0
        return output.decode()

    async def statuses(self) -> dict[UUID, str]:
        """What became of each event's letter."""
        rows = await self.pool.fetch("SELECT message_id, status FROM notification.deliveries")
        return {row["message_id"]: row["status"] for row in rows}


@pytest.fixture
async def world(
    exchange: MailExchange, amqp_url: str, database: DatabaseFactory
) -> AsyncIterator[World]:
    await exchange.start()
    database_url = await database("notification")
    pool = await open_pool(database_url)
    world = World(exchange, amqp_url, database_url, pool)
    yield world
    for process in world.processes:
        if process.returncode is None:
            process.kill()
        await process.wait()
    await asyncio.wait_for(pool.close(), 10)


def message_ids(events: list[UUID]) -> set[str]:
    return {f"<{event}@goticket.example>" for event in events}


async def test_what_was_published_before_the_worker_ran_is_mailed(
    world: World, confirmed: MakeConfirmed
) -> None:
    await world.publish(events_pb2.BookingHeld(), kind=BOOKING_HELD)
    events = await world.publish(*(confirmed() for _ in range(20)))

    worker = await world.start_worker()

    async def all_sent() -> bool:
        return list((await world.statuses()).values()) == ["sent"] * 20

    await eventually(all_sent)
    assert sorted(world.exchange.message_ids) == sorted(message_ids(events))
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(worker.wait(), DEADLINE) == 0


async def test_killed_in_the_middle_the_next_worker_loses_nothing(
    world: World, confirmed: MakeConfirmed
) -> None:
    events = await world.publish(*(confirmed(tickets=1) for _ in range(60)))
    worker = await world.start_worker()
    await eventually(lambda: len(world.exchange.messages) >= 10)

    worker.kill()
    await worker.wait()
    await world.start_worker()

    async def all_sent() -> bool:
        statuses = await world.statuses()
        return set(statuses) == set(events) and set(statuses.values()) == {"sent"}

    await eventually(all_sent)
    sent = world.exchange.message_ids
    assert set(sent) == message_ids(events)
    # Only what was between the server's yes and the commit may have come twice.
    assert len(sent) <= len(events) + 8


async def test_a_stop_lets_the_letter_in_hand_arrive(
    world: World, confirmed: MakeConfirmed
) -> None:
    world.exchange.may_answer.clear()
    (event,) = await world.publish(confirmed())
    worker = await world.start_worker()
    await eventually(world.exchange.asked.is_set)

    worker.send_signal(signal.SIGTERM)
    world.exchange.may_answer.set()
    assert await asyncio.wait_for(worker.wait(), DEADLINE) == 0

    assert await world.statuses() == {event: "sent"}
    assert len(world.exchange.messages) == 1


async def test_a_mail_server_that_is_away_for_a_moment_only_delays(
    world: World, confirmed: MakeConfirmed
) -> None:
    world.exchange.data.extend(["451 4.3.0 Try again later"] * 2)
    world.exchange.rcpt.append("450 4.2.0 Greylisted")
    events = await world.publish(*(confirmed(tickets=1) for _ in range(6)))
    await world.start_worker()

    await eventually(lambda: set(world.exchange.message_ids) == message_ids(events))

    async def all_sent() -> bool:
        return set((await world.statuses()).values()) == {"sent"}

    await eventually(all_sent)
    assert len(world.exchange.messages) == 6


async def test_a_refused_letter_becomes_a_dead_letter_that_can_be_replayed(
    world: World, confirmed: MakeConfirmed
) -> None:
    world.exchange.rcpt.append("550 5.1.1 <ada@buyers.example> is unknown here")
    (event,) = await world.publish(confirmed())
    await world.start_worker()

    async def refused() -> bool:
        return await world.statuses() == {event: "refused"}

    await eventually(refused)
    listed: list[dict[str, Any]] = []

    async def is_listed() -> bool:
        output = await world.run_command("dead-letters", "list")
        listed[:] = [json.loads(line) for line in output.splitlines()]
        return bool(listed)

    await eventually(is_listed)
    assert [letter["id"] for letter in listed] == [str(event)]
    assert "is unknown here" in listed[0]["reason"]
    assert "ada@" not in listed[0]["reason"], "addresses do not travel with the reason"
    assert not world.exchange.messages

    assert await world.run_command("dead-letters", "replay") == "replayed 1\n"

    async def sent() -> bool:
        return await world.statuses() == {event: "sent"}

    await eventually(sent)
    assert world.exchange.message_ids == [f"<{event}@goticket.example>"]
    assert await world.run_command("dead-letters", "list") == ""


@asynccontextmanager
async def worker_inside(world: World) -> AsyncIterator[None]:
    """A worker in this process, so that its spans can be seen."""
    settings = WorkerSettings(
        database_url=world.database_url,
        amqp_url=world.amqp_url,
        smtp_host=world.exchange.host,
        smtp_port=world.exchange.port,
        smtp_tls=Tls.NONE,
        sender="GoTicket <tickets@goticket.example>",
        public_url="https://goticket.example",
    )
    stop = Stop()
    async with AsyncExitStack() as stack:
        worker = asyncio.ensure_future(run_worker(settings, stop))
        stack.push_async_callback(asyncio.wait_for, worker, 30)
        stack.callback(stop.set)
        yield


async def test_the_letter_is_in_the_trace_of_what_caused_it(
    world: World, confirmed: MakeConfirmed, spans: InMemorySpanExporter
) -> None:
    with tracer.start_as_current_span("the booking") as cause:
        await world.publish(confirmed())

    async with worker_inside(world):
        await eventually(lambda: len(world.exchange.messages) == 1)

    finished = {span.name: span for span in spans.get_finished_spans()}
    sending = finished["smtp send"]
    consuming = finished["notification.booking-events process"]
    assert sending.context is not None
    assert consuming.context is not None
    assert sending.context.trace_id == cause.get_span_context().trace_id
    assert sending.parent is not None
    assert sending.parent.span_id == consuming.context.span_id
