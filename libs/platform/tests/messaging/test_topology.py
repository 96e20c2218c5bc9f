"""The declared topology against a real broker."""

import asyncio
import json
from datetime import timedelta

import pytest
from aio_pika import Message, connect
from goticket_contracts.topology import EVENT_LOG_DAYS, TOPOLOGY, QueueSpec, Topology
from goticket_platform.messaging.broker import open_channel, set_up_topology
from goticket_platform.messaging.topology import TopologyMismatch
from goticket_testing.backend import RabbitBackend
from goticket_testing.messaging import QUEUE, SMALL


async def test_declaring_the_topology_is_idempotent(amqp_url: str) -> None:
    for _ in range(2):
        async with open_channel(amqp_url, TOPOLOGY, name="test"):
            pass


async def test_the_event_log_has_limits_of_age_and_size(
    amqp_url: str, rabbitmq_server: RabbitBackend
) -> None:
    await set_up_topology(amqp_url, TOPOLOGY)
    vhost = amqp_url.rpartition("/")[2]
    text = await asyncio.to_thread(
        rabbitmq_server.api, "GET", f"/api/queues/{vhost}/{TOPOLOGY.event_log}"
    )
    arguments = json.loads(text)["arguments"]
    assert arguments["x-queue-type"] == "stream"
    assert arguments["x-max-age"] == f"{EVENT_LOG_DAYS}D"
    assert arguments["x-max-length-bytes"] == 10_000_000_000


def test_every_retry_is_shorter_than_the_retention_of_handled_messages() -> None:
    for spec in TOPOLOGY.queues:
        assert sum(spec.retry_seconds) < timedelta(days=EVENT_LOG_DAYS).total_seconds()


async def test_clients_can_declare_concurrently(amqp_url: str) -> None:
    async def declare() -> None:
        async with open_channel(amqp_url, SMALL, name="test"):
            pass

    await asyncio.gather(*(declare() for _ in range(6)))


async def test_the_error_names_a_queue_with_other_settings(amqp_url: str) -> None:
    async with await connect(amqp_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(QUEUE.name, durable=True)
    with pytest.raises(TopologyMismatch, match=r"queue 'test\.events' exists with other settings"):
        async with open_channel(amqp_url, SMALL, name="test"):
            pass


async def test_a_message_that_is_never_acknowledged_is_dead_lettered(
    amqp_url: str,
) -> None:
    """The broker counts deliveries. A message that crashes its consumer each time is kept."""
    topology = Topology("test.exchange", "test.log", (QueueSpec("test.crashing", ()),))
    (queue,) = topology.queues
    async with open_channel(amqp_url, topology, name="test") as (channel, _):
        work = await channel.get_queue(queue.name, ensure=False)
        dead = await channel.get_queue(queue.dead_letters, ensure=False)
        await channel.default_exchange.publish(Message(b"{}"), queue.name)
        for _ in range(101):
            message = await work.get()
            assert message is not None
            await message.nack(requeue=True)
        async with asyncio.timeout(20):
            while (dead_letter := await dead.get(fail=False)) is None:
                await asyncio.sleep(0.02)
    assert dead_letter.headers["x-first-death-reason"] == "delivery_limit"
