"""The worker as a process, with a real broker, database, SMTP server and gRPC server."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections import Counter
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
from goticket.booking.v1.notification_data_pb2 import BookingDetails
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
from notification.smtp_client import Tls
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

# Defined in conftest.py; test folders are not packages to import from.
ScriptedSmtpServer = Any
ScriptedBookingService = Any
MakeDetails = Callable[..., BookingDetails]
MakePayload = Callable[[str, BookingDetails], Message]

COMMAND = Path(sys.executable).with_name("notification")
DEADLINE = 60.0
CONCURRENCY, LARGE_CONCURRENCY = 8, 2
eventually = partial(messaging.eventually, seconds=DEADLINE)


@dataclass
class Environment:
    """The servers around the worker."""

    smtp: ScriptedSmtpServer
    booking_service: ScriptedBookingService
    booking_token: str
    make_payload: MakePayload
    amqp_url: str
    database_url: str
    pool: asyncpg.Pool
    attempt_seconds: float = 30.0
    processes: list[Process] = field(default_factory=list)

    def settings(self) -> dict[str, str]:
        """The worker's environment variables."""
        return {
            **{name: value for name, value in os.environ.items() if "NOTIFICATION_" not in name},
            "NOTIFICATION_DATABASE_URL": self.database_url,
            "NOTIFICATION_AMQP_URL": self.amqp_url,
            "NOTIFICATION_BOOKING_TARGET": self.booking_service.target,
            "NOTIFICATION_BOOKING_TOKEN": self.booking_token,
            "NOTIFICATION_SMTP_HOST": self.smtp.host,
            "NOTIFICATION_SMTP_PORT": str(self.smtp.port),
            "NOTIFICATION_SMTP_TLS": "none",
            "NOTIFICATION_SENDER": "GoTicket <tickets@goticket.example>",
            "NOTIFICATION_PUBLIC_URL": "https://goticket.example",
            "NOTIFICATION_ATTEMPT_SECONDS": str(self.attempt_seconds),
            "NOTIFICATION_CONCURRENCY": str(CONCURRENCY),
            "NOTIFICATION_LARGE_CONCURRENCY": str(LARGE_CONCURRENCY),
        }

    async def publish(
        self, *bookings: BookingDetails, message_type: str = BOOKING_CONFIRMED
    ) -> list[UUID]:
        """Publish a message about each booking, as the relay does; return the message ids."""
        self.booking_service.add(*bookings)
        ids = []
        async with open_channel(self.amqp_url, TOPOLOGY, name="test") as (_, exchange):
            for details in bookings:
                message = PublishedMessage(
                    id=new_id(),
                    type=message_type,
                    source="/goticket/booking",
                    subject=details.booking.id,
                    version=details.booking.version,
                    partition_key=details.event.id,
                    occurred_at=datetime.now(UTC),
                    payload=json_format.MessageToJson(self.make_payload(message_type, details)),
                )
                await exchange.publish(build_amqp_message(message, inject_context()), message_type)
                ids.append(message.id)
        return ids

    async def start_worker(self) -> Process:
        """Start a worker process."""
        process = await asyncio.create_subprocess_exec(
            COMMAND, "worker", env=self.settings(), stderr=asyncio.subprocess.DEVNULL
        )
        self.processes.append(process)
        return process

    async def run_command(self, *arguments: str) -> str:
        """Run another command of the service to its end; return its output."""
        process = await asyncio.create_subprocess_exec(
            COMMAND, *arguments, env=self.settings(), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(process.communicate(), DEADLINE)
        assert process.returncode == 0
        return output.decode()

    async def statuses(self) -> dict[UUID, str]:
        """Status of the delivery of each message."""
        rows = await self.pool.fetch("SELECT message_id, status FROM notification.deliveries")
        return {row["message_id"]: row["status"] for row in rows}

    async def all_sent(self) -> bool:
        """Whether every delivery is sent."""
        return set((await self.statuses()).values()) == {"sent"}


@pytest.fixture
async def environment(
    smtp: ScriptedSmtpServer,
    booking_service: ScriptedBookingService,
    booking_token: str,
    make_payload: MakePayload,
    amqp_url: str,
    database: DatabaseFactory,
) -> AsyncIterator[Environment]:
    await smtp.start()
    database_url = await database("notification")
    pool = await open_pool(database_url)
    environment = Environment(
        smtp, booking_service, booking_token, make_payload, amqp_url, database_url, pool
    )
    yield environment
    for process in environment.processes:
        if process.returncode is None:
            process.kill()
        await process.wait()
    await asyncio.wait_for(pool.close(), 10)


def smtp_message_ids(messages: list[UUID]) -> set[str]:
    return {f"<{message}@goticket.example>" for message in messages}


async def test_messages_published_before_the_worker_started_are_handled(
    environment: Environment, make_details: MakeDetails
) -> None:
    await environment.publish(make_details(), message_type=BOOKING_HELD)
    messages = await environment.publish(*(make_details() for _ in range(20)))

    worker = await environment.start_worker()

    async def all_sent() -> bool:
        return list((await environment.statuses()).values()) == ["sent"] * 20

    await eventually(all_sent)
    assert sorted(environment.smtp.message_ids) == sorted(smtp_message_ids(messages))
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(worker.wait(), DEADLINE) == 0


async def test_after_a_kill_the_next_worker_repeats_only_what_was_in_transit(
    environment: Environment, make_details: MakeDetails
) -> None:
    messages = await environment.publish(*(make_details(tickets=1) for _ in range(60)))
    worker = await environment.start_worker()
    await eventually(lambda: len(environment.smtp.messages) >= 10)

    worker.kill()
    await worker.wait()
    at_kill = await environment.statuses()
    # Short attempts would end on a busy machine, and repeat e-mails too. So time is advanced.
    await environment.pool.execute(
        "UPDATE notification.deliveries SET due_at = now() WHERE due_at IS NOT NULL"
    )
    await environment.start_worker()

    async def all_sent() -> bool:
        statuses = await environment.statuses()
        return set(statuses) == set(messages) and set(statuses.values()) == {"sent"}

    await eventually(all_sent)
    sent = Counter(environment.smtp.message_ids)
    assert set(sent) == smtp_message_ids(messages)
    # The row is `sending` while an e-mail is in transit, and a connection waits for the record
    # of its e-mail before it gets the next one: one unrecorded e-mail per connection.
    in_transit = {message for message, status in at_kill.items() if status == "sending"}
    assert len(in_transit) <= CONCURRENCY
    repeated = {message for message, count in sent.items() if count > 1}
    assert repeated <= smtp_message_ids(list(in_transit))
    assert sent.total() - len(messages) == len(repeated)


async def test_a_stop_waits_for_the_email_in_progress(
    environment: Environment, make_details: MakeDetails
) -> None:
    environment.smtp.may_reply.clear()
    (message,) = await environment.publish(make_details())
    worker = await environment.start_worker()
    await eventually(environment.smtp.data_received.is_set)

    worker.send_signal(signal.SIGTERM)
    environment.smtp.may_reply.set()
    assert await asyncio.wait_for(worker.wait(), DEADLINE) == 0

    assert await environment.statuses() == {message: "sent"}
    assert len(environment.smtp.messages) == 1


async def test_a_temporary_refusal_only_delays_the_emails(
    environment: Environment, make_details: MakeDetails
) -> None:
    environment.smtp.data.extend(["451 4.3.0 Try again later"] * 2)
    environment.smtp.rcpt.append("450 4.2.0 Greylisted")
    messages = await environment.publish(*(make_details(tickets=1) for _ in range(6)))
    await environment.start_worker()

    await eventually(lambda: set(environment.smtp.message_ids) == smtp_message_ids(messages))
    await eventually(environment.all_sent)
    assert len(environment.smtp.messages) == 6


async def test_an_outage_of_the_booking_service_only_delays_the_emails(
    environment: Environment, make_details: MakeDetails
) -> None:
    await environment.booking_service.stop()
    messages = await environment.publish(*(make_details(tickets=1) for _ in range(6)))
    await environment.start_worker()

    async def some_deferred() -> bool:
        statuses = await environment.statuses()
        return len(statuses) == 6 and "deferred" in statuses.values()

    await eventually(some_deferred)
    await environment.booking_service.start()

    await eventually(environment.all_sent)
    assert sorted(environment.smtp.message_ids) == sorted(smtp_message_ids(messages))


async def test_two_workers_share_the_messages(
    environment: Environment, make_details: MakeDetails
) -> None:
    await environment.start_worker()
    await environment.start_worker()
    messages = await environment.publish(*(make_details(tickets=1) for _ in range(40)))

    await eventually(lambda: len(environment.smtp.messages) >= 40)
    await eventually(environment.all_sent)
    assert sorted(environment.smtp.message_ids) == sorted(smtp_message_ids(messages))


async def test_a_refused_email_is_listed_and_can_be_replayed(
    environment: Environment, make_details: MakeDetails
) -> None:
    environment.smtp.rcpt.append("550 5.1.1 <ada@buyers.example> is unknown here")
    (message,) = await environment.publish(make_details())
    await environment.start_worker()

    async def refused() -> bool:
        return await environment.statuses() == {message: "refused"}

    await eventually(refused)
    output = await environment.run_command("refused-deliveries", "list")
    [listed] = [json.loads(line) for line in output.splitlines()]
    assert listed["message_id"] == str(message)
    assert "is unknown here" in listed["reason"]
    assert "ada@" not in listed["reason"], "the reason has no address"
    assert not environment.smtp.messages
    assert await environment.run_command("dead-letters", "list") == ""

    assert await environment.run_command("refused-deliveries", "replay") == "replayed 1\n"

    async def sent() -> bool:
        return await environment.statuses() == {message: "sent"}

    await eventually(sent)
    assert environment.smtp.message_ids == [f"<{message}@goticket.example>"]
    assert await environment.run_command("refused-deliveries", "list") == ""


async def test_a_malformed_message_becomes_a_dead_letter_that_can_be_replayed(
    environment: Environment, make_details: MakeDetails
) -> None:
    malformed = make_details()
    malformed.booking.id = "not a UUID"
    (message,) = await environment.publish(malformed)
    await environment.start_worker()
    listed: list[dict[str, Any]] = []

    async def is_listed() -> bool:
        output = await environment.run_command("dead-letters", "list")
        listed[:] = [json.loads(line) for line in output.splitlines()]
        return bool(listed)

    await eventually(is_listed)
    assert [dead_letter["id"] for dead_letter in listed] == [str(message)]
    assert await environment.statuses() == {}
    assert await environment.run_command("dead-letters", "replay") == "replayed 1\n"


@asynccontextmanager
async def worker_in_this_process(environment: Environment) -> AsyncIterator[None]:
    """Run a worker in this process, so that the test sees its spans."""
    settings = WorkerSettings(
        database_url=environment.database_url,
        amqp_url=environment.amqp_url,
        booking_target=environment.booking_service.target,
        booking_token=SecretStr(environment.booking_token),
        smtp_host=environment.smtp.host,
        smtp_port=environment.smtp.port,
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


async def test_the_email_is_in_the_trace_of_its_cause(
    environment: Environment, make_details: MakeDetails, spans: InMemorySpanExporter
) -> None:
    with tracer.start_as_current_span("the booking") as cause:
        await environment.publish(make_details())

    async with worker_in_this_process(environment):
        await eventually(lambda: len(environment.smtp.messages) == 1)

    finished = {span.name: span for span in spans.get_finished_spans()}
    sending = finished["smtp send"]
    consuming = finished["notification.events process"]
    assert sending.context is not None
    assert consuming.context is not None
    assert sending.context.trace_id == cause.get_span_context().trace_id
    assert sending.parent is not None
    assert sending.parent.span_id == consuming.context.span_id
