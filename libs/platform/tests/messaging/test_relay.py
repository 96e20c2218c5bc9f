"""The relay against real servers."""

import asyncio
import os
import signal
import sys
import uuid
from pathlib import Path

import asyncpg
import httpx
from aio_pika import connect
from aio_pika.exceptions import ChannelNotFoundEntity
from goticket_contracts.event_types import EVENT_UPDATED
from goticket_local.ports import free_port
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.broker import NotConnected
from goticket_platform.messaging.cloudevents import PublishedMessage, build_amqp_message
from goticket_platform.messaging.outbox import OutboxNotifier
from goticket_platform.messaging.relay import RELAY_SETTINGS, Relay
from goticket_platform.messaging.relay_process import run_relay
from goticket_platform.messaging.statements import statements
from goticket_platform.postgres import open_pool
from goticket_testing.backend import RabbitBackend
from goticket_testing.databases import Postgres
from goticket_testing.messaging import (
    QUEUE,
    Received,
    append,
    eventually,
    make_consumer,
    make_message,
    make_relay,
    pending,
    running,
)

MANY_SESSIONS_SECONDS = 150.0
"""Deadline of a test in which the broker closes one channel after another."""


async def test_a_message_arrives_with_its_cloudevents_attributes(
    pool: asyncpg.Pool, amqp_url: str
) -> None:
    received = Received()
    message = make_message(version=7)
    await append(pool, message)
    async with running(make_relay(pool, amqp_url).run, make_consumer(amqp_url, received).run):
        await eventually(lambda: len(received.messages) == 1)
        await eventually(lambda: is_empty(pool))
    arrived = received.messages[0]
    assert arrived.type == message.type
    assert arrived.source == "/goticket/booking"
    assert arrived.subject == str(message.aggregate_id)
    assert arrived.version == 7
    assert arrived.occurred_at == message.occurred_at
    assert arrived.parse(type(message.payload)) == message.payload
    assert arrived.attempt == 1
    assert arrived.headers["cloudEvents:specversion"] == "1.0"
    assert arrived.headers["cloudEvents:partitionkey"] == str(message.partition_id)


async def test_three_relays_keep_the_order_of_every_aggregate(
    pool: asyncpg.Pool, amqp_url: str
) -> None:
    received = Received()
    aggregates = [uuid.uuid4() for _ in range(40)]
    for version in range(1, 11):
        await append(pool, *(make_message(aggregate, version) for aggregate in aggregates))
    relays = [make_relay(pool, amqp_url, batch=7).run for _ in range(3)]
    async with running(*relays, make_consumer(amqp_url, received, prefetch=1).run):
        await eventually(lambda: len(received.ids) == 400)
    for aggregate in aggregates:
        assert received.versions(aggregate) == list(range(1, 11))
    assert len(received.messages) == 400  # without a crash there are no duplicates
    assert await pending(pool) == 0


async def test_killed_relays_lose_no_message(pool: asyncpg.Pool, dsn: str, amqp_url: str) -> None:
    received = Received()
    expected = 0
    async with running(make_consumer(amqp_url, received, prefetch=50).run):
        for _ in range(3):
            await append(pool, *(make_message() for _ in range(300)))
            expected += 300
            relay = await start_relay_process(dsn, amqp_url)
            seen = len(received.ids)
            await eventually(lambda seen=seen: len(received.ids) > seen)  # type: ignore[misc]  # a default captures the loop's value
            relay.send_signal(signal.SIGKILL)
            await relay.wait()
        async with running(make_relay(pool, amqp_url).run):
            await eventually(lambda: len(received.ids) == expected)
            await eventually(lambda: is_empty(pool))
    assert len(received.ids) == expected


async def test_a_relay_process_exits_with_0_after_sigterm(
    pool: asyncpg.Pool, dsn: str, amqp_url: str
) -> None:
    relay = await start_relay_process(dsn, amqp_url)
    await append(pool, make_message())
    await eventually(lambda: is_empty(pool))
    relay.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(relay.wait(), 20) == 0


async def test_messages_survive_a_stop_and_a_kill_of_the_broker(
    pool: asyncpg.Pool, own_broker: RabbitBackend
) -> None:
    amqp_url = own_broker.amqp_url()
    received = Received()
    relays = [make_relay(pool, amqp_url).run for _ in range(2)]
    async with running(*relays, make_consumer(amqp_url, received).run):
        await append(pool, *(make_message() for _ in range(20)))
        await eventually(lambda: len(received.ids) == 20)

        await asyncio.to_thread(own_broker.stop)
        await append(pool, *(make_message() for _ in range(20)))
        assert await pending(pool) == 20
        await asyncio.to_thread(own_broker.start)
        await eventually(lambda: len(received.ids) == 40, 60)

        # The kill comes after the stop, because a node writes new queues to disk with a delay.
        # A queue that is declared just before a kill can be lost.
        await append(pool, *(make_message() for _ in range(1000)))
        await eventually(lambda: len(received.ids) > 140)
        await asyncio.to_thread(own_broker.kill)
        await asyncio.to_thread(own_broker.start)
        await eventually(lambda: len(received.ids) == 1040, 60)
        await eventually(lambda: is_empty(pool))


async def test_the_relay_continues_after_a_restart_of_postgres(
    pool: asyncpg.Pool, amqp_url: str, postgres_server: Postgres
) -> None:
    received = Received()
    async with running(make_relay(pool, amqp_url).run, make_consumer(amqp_url, received).run):
        await append(pool, make_message())
        await eventually(lambda: len(received.ids) == 1)
        await asyncio.to_thread(postgres_server.restart)
        await append_with_retries(pool)
        await eventually(lambda: len(received.ids) == 2)


async def test_an_unroutable_message_is_delayed_and_other_aggregates_continue(
    pool: asyncpg.Pool, amqp_url: str
) -> None:
    received = Received()
    unroutable = "goticket.unroutable.v1"
    aggregate = uuid.uuid4()
    relay = make_relay(pool, amqp_url)
    async with running(relay.run, make_consumer(amqp_url, received).run):
        await eventually(lambda: is_ready(relay))
        await unbind_event_log(amqp_url)
        await append(pool, make_message(aggregate, 1, unroutable), make_message(aggregate, 2))
        await append(pool, *(make_message() for _ in range(5)))
        await eventually(lambda: len(received.ids) == 5)
        await eventually(lambda: has_attempts(pool, 2))
        # Its successor waits: the order within an aggregate is kept.
        assert received.versions(aggregate) == []
        await pool.execute(
            "UPDATE booking.outbox SET type = 'goticket.booking.booking.held.v1',"
            " available_at = now() WHERE attempts > 0"
        )
        await eventually(lambda: received.versions(aggregate) == [1, 2])


async def test_a_message_that_the_user_may_not_publish_does_not_block_the_others(
    pool: asyncpg.Pool, amqp_url: str, rabbitmq_server: RabbitBackend
) -> None:
    """The broker closes the channel, and with it every other message in flight."""
    vhost, user, received = amqp_url.rpartition("/")[2], "restricted", Received()
    await asyncio.to_thread(add_restricted_user, rabbitmq_server, vhost, user)
    refused, blocked = uuid.uuid4(), uuid.uuid4()
    relay = make_relay(pool, rabbitmq_server.amqp_url(vhost, (user, user)))
    async with running(make_consumer(amqp_url, received).run):
        await eventually(lambda: queue_exists(amqp_url))
        await append(pool, *(make_message() for _ in range(3)))
        await append(pool, make_message(refused, 1, EVENT_UPDATED), make_message(refused, 2))
        await append(pool, *(make_message(blocked, version) for version in range(1, 4)))
        await append(pool, *(make_message() for _ in range(60)))
        async with running(relay.run):
            await eventually(lambda: len(received.ids) == 66, MANY_SESSIONS_SECONDS)
            await eventually(lambda: has_attempts(pool, 2), MANY_SESSIONS_SECONDS)
            await append(pool, make_message())
            await eventually(lambda: len(received.ids) == 67, MANY_SESSIONS_SECONDS)
    assert received.versions(blocked) == [1, 2, 3]
    assert received.versions(refused) == []
    assert await pending(pool) == 2
    await asyncio.to_thread(rabbitmq_server.api, "DELETE", f"/api/users/{user}")


async def test_invalid_trace_headers_do_not_block_a_message(
    pool: asyncpg.Pool, amqp_url: str
) -> None:
    received = Received()
    await append(pool, *(make_message() for _ in range(3)))
    await pool.execute(
        """UPDATE booking.outbox SET headers =
           (ARRAY['null', '[1]', '{"traceparent": 1}'])[1 + id % 3]::json"""
    )
    async with running(make_relay(pool, amqp_url).run, make_consumer(amqp_url, received).run):
        await eventually(lambda: len(received.ids) == 3)


async def test_a_message_too_large_for_the_broker_is_not_sent(
    pool: asyncpg.Pool, amqp_url: str
) -> None:
    received = Received()
    large = make_message()
    large.payload.update({"text": "x" * 9_000_000})  # type: ignore[attr-defined]  # a Struct
    await append(pool, large, make_message())
    async with running(make_relay(pool, amqp_url).run, make_consumer(amqp_url, received).run):
        await eventually(lambda: len(received.ids) == 1)
        await eventually(lambda: has_attempts(pool, 1))


async def test_a_notification_wakes_the_relay_before_its_poll(
    pool: asyncpg.Pool, amqp_url: str
) -> None:
    received = Received()
    notifier = OutboxNotifier(pool, "booking")
    relay = make_relay(pool, amqp_url, poll_seconds=3600)
    async with running(relay.run, make_consumer(amqp_url, received).run):
        await append(pool, make_message())
        notifier.wake()
        await eventually(lambda: len(received.ids) == 1)
        await eventually(lambda: is_empty(pool))
        for _ in range(50):  # notifications are combined, and the last commit is included
            await append(pool, make_message())
            notifier.wake()
        await eventually(lambda: len(received.ids) == 51)
    await notifier.close()


async def test_the_relay_polls_without_notifications(
    pool: asyncpg.Pool, dsn: str, amqp_url: str
) -> None:
    received = Received()
    async with running(make_relay(pool, amqp_url).run, make_consumer(amqp_url, received).run):
        await append(pool, make_message())  # committed without NOTIFY
        await eventually(lambda: len(received.ids) == 1)


def test_the_amqp_message_is_persistent_and_has_the_message_id() -> None:
    message = make_message()
    amqp_message = build_amqp_message(
        PublishedMessage(
            id=uuid.UUID(int=1),
            type=message.type,
            source="/goticket/booking",
            subject="s",
            version=1,
            partition_key="p",
            occurred_at=message.occurred_at,
            payload="{}",
        ),
        {"traceparent": "t"},
    )
    assert amqp_message.message_id == str(uuid.UUID(int=1))
    assert amqp_message.delivery_mode == 2
    assert amqp_message.content_type == "application/json"
    assert amqp_message.headers["traceparent"] == "t"


def add_restricted_user(broker: RabbitBackend, vhost: str, user: str) -> None:
    """Add a user that may publish only messages of booking to the test's exchange."""
    broker.api("PUT", f"/api/users/{user}", {"password": user, "tags": ""})
    write = {"configure": "^$", "write": r"^test\.exchange$", "read": "^$"}
    broker.api("PUT", f"/api/permissions/{vhost}/{user}", write)
    topics = {"exchange": "test.exchange", "write": r"^goticket\.booking\.", "read": "^$"}
    broker.api("PUT", f"/api/topic-permissions/{vhost}/{user}", topics)


async def queue_exists(amqp_url: str) -> bool:
    async with await connect(amqp_url) as connection:
        channel = await connection.channel()
        try:
            await channel.declare_queue(QUEUE.name, passive=True)
        except ChannelNotFoundEntity:
            return False
    return True


async def is_ready(relay: Relay) -> bool:
    try:
        await relay.check()
    except NotConnected:
        return False
    return True


async def is_empty(pool: asyncpg.Pool) -> bool:
    return await pending(pool) == 0


async def has_attempts(pool: asyncpg.Pool, attempts: int) -> bool:
    found: int | None = await pool.fetchval("SELECT max(attempts) FROM booking.outbox")
    return (found or 0) >= attempts


async def append_with_retries(pool: asyncpg.Pool) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                return await append(pool, make_message())
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await asyncio.sleep(0.05)


async def unbind_event_log(amqp_url: str) -> None:
    """Make an unbound type unroutable, since the event log is bound to every type."""
    async with await connect(amqp_url) as connection:
        channel = await connection.channel()
        log = await channel.get_queue("test.log", ensure=False)
        await log.unbind("test.exchange", "#")


async def start_relay_process(dsn: str, amqp_url: str) -> asyncio.subprocess.Process:
    program = Path(__file__).with_name("relay_program.py")
    return await asyncio.create_subprocess_exec(
        sys.executable, program, env={**os.environ, "TEST_DSN": dsn, "TEST_AMQP_URL": amqp_url}
    )


async def test_the_relay_process_reports_readiness_and_metrics(
    dsn: str, pool: asyncpg.Pool, amqp_url: str, rabbitmq_server: RabbitBackend
) -> None:
    port = free_port()

    async def relay(stop: Stop) -> None:
        await run_relay(
            dsn=dsn,
            amqp_url=amqp_url,
            schema="booking",
            source="/goticket/booking",
            metrics_listen=f"127.0.0.1:{port}",
            stop=stop,
        )

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as probe, running(relay):
        await eventually(lambda: has_status(probe, "/readyz", 200))
        await append(pool, make_message())
        await eventually(lambda: is_empty(pool))
        metrics = (await probe.get("/metrics")).text
        assert 'goticket_outbox_published_total{schema="booking"}' in metrics
        vhost = amqp_url.rpartition("/")[2]
        await asyncio.to_thread(rabbitmq_server.delete_vhost, vhost)
        await eventually(lambda: has_status(probe, "/readyz", 503))
        assert (await probe.get("/livez")).status_code == 200
        await asyncio.to_thread(rabbitmq_server.add_vhost, vhost)
        await eventually(lambda: has_status(probe, "/readyz", 200))


async def has_status(probe: httpx.AsyncClient, path: str, status: int) -> bool:
    try:
        return (await probe.get(path)).status_code == status
    except httpx.TransportError:
        return False


async def test_a_claim_uses_the_indexes_with_a_large_backlog(pool: asyncpg.Pool) -> None:
    await append(pool, *(make_message() for _ in range(5000)))
    await pool.execute("ANALYZE booking.outbox")
    async with pool.acquire() as connection, connection.transaction():
        lines = await connection.fetch(f"EXPLAIN {statements('booking')['claim_heads']}", 500)
    plan = "\n".join(line[0] for line in lines)
    assert "Index Scan using outbox_pkey" in plan
    assert "using outbox_aggregate_idx" in plan
    assert "Seq Scan" not in plan


async def test_a_claim_uses_the_indexes_with_outdated_statistics(
    pool: asyncpg.Pool, dsn: str
) -> None:
    await append(pool, *(make_message() for _ in range(1000)))
    await pool.execute("ANALYZE booking.outbox")
    relays = await open_pool(dsn, settings=RELAY_SETTINGS)
    lines = await relays.fetch(f"EXPLAIN {statements('booking')['claim_heads']}", 500)
    await relays.close()
    plan = "\n".join(line[0] for line in lines)
    assert "Index Scan using outbox_pkey" in plan
    assert "using outbox_aggregate_idx" in plan
    assert "Sort" not in plan
    assert "Seq Scan" not in plan


async def test_a_backlog_is_counted_up_to_a_limit_and_estimated_above(
    pool: asyncpg.Pool,
) -> None:
    assert await measured(pool, 100) == 0

    await append(pool, *(make_message() for _ in range(300)))

    assert await measured(pool, 301) == 300
    assert await measured(pool, 100) >= 100
    await pool.execute("ANALYZE booking.outbox")
    await eventually(lambda: is_estimated(pool, 300))


async def is_estimated(pool: asyncpg.Pool, pending: int) -> bool:
    return await measured(pool, 100) == pending


async def measured(pool: asyncpg.Pool, limit: int) -> int:
    row = await pool.fetchrow(statements("booking")["measure_backlog"], limit)
    assert row is not None
    pending: int = row["pending"]
    return pending
