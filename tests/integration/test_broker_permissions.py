"""Each service has its own RabbitMQ user, which can use its own queues and nothing else.

The rules are those of RabbitMQ's access control: configure, write and read permissions, and topic
permissions for the routing keys of a topic exchange.
"""

import asyncio
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPError, ChannelAccessRefused
from goticket_contracts.event_types import BOOKING_CONFIRMED, EVENT_UPDATED, USER_REGISTERED
from goticket_contracts.topology import (
    BOOKING_CATALOG_EVENTS,
    EVENT_LOG,
    EXCHANGE,
    NOTIFICATION_EVENTS,
    TOPOLOGY,
    QueueSpec,
)
from goticket_local.manifest import broker_users
from goticket_local.stack.broker import bootstrap_broker, service_urls
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.broadcast import consume_broadcast
from goticket_platform.messaging.broker import open_channel
from goticket_platform.messaging.cloudevents import PublishedMessage, build_amqp_message
from goticket_platform.messaging.consumer import Consumer, NonRetryableError, ReceivedMessage
from goticket_platform.messaging.dead_letters import list_dead_letters, replay_dead_letters
from goticket_platform.messaging.topology import TopologyMissing
from goticket_testing.backend import RabbitBackend, ServerSource, running
from goticket_testing.databases import SERVICES
from goticket_testing.messaging import eventually
from goticket_testing.messaging import running as running_mains

VHOST = "attacked"
PASSWORDS = {name: secrets.token_hex(16) for name in broker_users(SERVICES)}
USERS = sorted(PASSWORDS)
PUBLISHED = {"booking": BOOKING_CONFIRMED, "catalog": EVENT_UPDATED, "identity": USER_REGISTERED}
"""A message type of each service that publishes."""

Attack = Callable[[AbstractChannel], Awaitable[None]]
Connect = Callable[[str], Awaitable[AbstractConnection]]


@pytest.fixture(scope="module")
def broker(server_source: ServerSource) -> Iterator[RabbitBackend]:
    """A broker of its own: users are shared by all virtual hosts."""
    with running(server_source.rabbitmq()) as server:
        bootstrap_broker(server, VHOST, SERVICES, PASSWORDS)
        yield server


@pytest.fixture
def urls(broker: RabbitBackend) -> dict[str, str]:
    return service_urls(broker, VHOST, SERVICES, PASSWORDS)


@pytest.fixture
async def connect(urls: dict[str, str]) -> AsyncIterator[Connect]:
    """Connects as a user."""
    async with AsyncExitStack() as connections:

        async def connect(user: str) -> AbstractConnection:
            connection = await aio_pika.connect(urls[user])
            return await connections.enter_async_context(connection)

        yield connect


async def assert_refused(connection: AbstractConnection, attack: Attack) -> None:
    """Fail unless the broker refuses; it closes the channel of each refused attempt."""
    channel = await connection.channel()
    with pytest.raises(ChannelAccessRefused):
        async with asyncio.timeout(20):
            await attack(channel)


def publish(exchange: str, routing_key: str) -> Attack:
    """Publish and wait for the confirm."""

    async def attack(channel: AbstractChannel) -> None:
        target = await channel.get_exchange(exchange, ensure=False)
        await target.publish(aio_pika.Message(b"{}"), routing_key)

    return attack


def names_of(spec: QueueSpec) -> list[str]:
    return [spec.name, *spec.retry_queues, spec.dead_letters]


def foreign(user: str) -> list[QueueSpec]:
    """The queues of the other services."""
    return [spec for spec in TOPOLOGY.queues if spec.owner != user]


def test_every_service_that_needs_rabbitmq_has_a_user_and_guest_is_gone(
    broker: RabbitBackend,
) -> None:
    users = {user["name"]: user["tags"] for user in json.loads(broker.api("GET", "/api/users"))}
    assert "guest" not in users
    assert [name for name, tags in users.items() if not tags] == USERS
    assert set(USERS) == {"booking", "catalog", "gateway", "identity", "notification"}


@pytest.mark.parametrize("user", USERS)
async def test_a_user_connects_with_its_password_to_its_virtual_host_only(
    broker: RabbitBackend, user: str
) -> None:
    for url in (
        broker.amqp_url(VHOST, (user, "wrong")),
        broker.amqp_url("/", (user, PASSWORDS[user])),
    ):
        with pytest.raises(AMQPError):
            await aio_pika.connect(url, timeout=10)


def attacks_on(queue: str) -> list[Attack]:
    """Read, consume, purge, delete, declare, bind and unbind a queue."""

    async def read(channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue, ensure=False)).get(fail=False)

    async def consume(channel: AbstractChannel) -> None:
        await channel.set_qos(1)
        await (await channel.get_queue(queue, ensure=False)).consume(_ignore)

    async def purge(channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue, ensure=False)).purge()

    async def delete(channel: AbstractChannel) -> None:
        await channel.queue_delete(queue)

    async def declare(channel: AbstractChannel) -> None:
        await channel.declare_queue(queue, durable=True)

    async def bind(channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue, ensure=False)).bind(EXCHANGE, "#")

    async def unbind(channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue, ensure=False)).unbind(EXCHANGE, "#")

    return [read, consume, purge, delete, declare, bind, unbind]


@pytest.mark.parametrize("user", USERS)
async def test_a_user_cannot_use_the_queues_of_another_service(connect: Connect, user: str) -> None:
    connection = await connect(user)
    for queue in [EVENT_LOG, *(name for spec in foreign(user) for name in names_of(spec))]:
        for attack in attacks_on(queue):
            await assert_refused(connection, attack)


@pytest.mark.parametrize("user", USERS)
async def test_a_user_cannot_publish_to_the_queues_of_another_service(
    connect: Connect, user: str
) -> None:
    """Neither through the direct exchange of these queues nor through the default exchange."""
    connection = await connect(user)
    for spec in foreign(user):
        for queue in names_of(spec):
            await assert_refused(connection, publish(spec.exchange, queue))
            await assert_refused(connection, publish("", queue))

        async def delete(channel: AbstractChannel, exchange: str = spec.exchange) -> None:
            await channel.exchange_delete(exchange)

        await assert_refused(connection, delete)


@pytest.mark.parametrize("user", USERS)
async def test_a_user_publishes_only_messages_of_its_own_service(
    connect: Connect, user: str
) -> None:
    connection = await connect(user)
    for service, message_type in PUBLISHED.items():
        if service == user:
            await publish(EXCHANGE, message_type)(await connection.channel())
        else:
            await assert_refused(connection, publish(EXCHANGE, message_type))


@pytest.mark.parametrize("user", USERS)
async def test_a_user_changes_no_exchange_and_declares_no_queue(
    connect: Connect, user: str
) -> None:
    async def delete(channel: AbstractChannel) -> None:
        await channel.exchange_delete(EXCHANGE)

    async def declare_exchange(channel: AbstractChannel) -> None:
        await channel.declare_exchange("mine")

    async def declare_queue(channel: AbstractChannel) -> None:
        await channel.declare_queue(f"{user}.mine", durable=True)

    connection = await connect(user)
    for attack in (delete, declare_exchange, declare_queue):
        await assert_refused(connection, attack)


async def test_the_gateway_receives_changes_of_the_catalog_and_no_bookings(
    urls: dict[str, str], connect: Connect
) -> None:
    connection = await connect("gateway")
    for key in (BOOKING_CONFIRMED, "#", "goticket.#"):

        async def bind(channel: AbstractChannel, key: str = key) -> None:
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(EXCHANGE, key)

        await assert_refused(connection, bind)

    received: list[str] = []
    subscribed = asyncio.Event()

    async def receive(message: ReceivedMessage) -> None:
        received.append(message.type)

    async def subscribe(stop: Stop) -> None:
        await consume_broadcast(
            urls["gateway"],
            [EVENT_UPDATED],
            receive,
            name="test",
            stop=stop,
            on_subscribed=subscribed.set,
        )

    async with running_mains(subscribe):
        async with asyncio.timeout(20):
            await subscribed.wait()
        async with open_channel(urls["catalog"], TOPOLOGY, name="test") as (_, exchange):
            await exchange.publish(_message(EVENT_UPDATED, "catalog"), EVENT_UPDATED)
        await eventually(lambda: received == [EVENT_UPDATED])


@pytest.mark.parametrize("spec", [BOOKING_CATALOG_EVENTS, NOTIFICATION_EVENTS])
async def test_a_consumer_retries_dead_letters_and_replays_with_its_own_user(
    broker: RabbitBackend, urls: dict[str, str], spec: QueueSpec
) -> None:
    for queue in (spec.name, spec.dead_letters):
        broker.api("DELETE", f"/api/queues/{VHOST}/{queue}/contents")
    url = urls[spec.owner]
    failures: list[Exception] = [ConnectionError("outage"), NonRetryableError("malformed")]
    handled: list[int] = []

    async def handle(message: ReceivedMessage) -> None:
        if failures:
            raise failures.pop(0)
        handled.append(message.attempt)

    key = EVENT_UPDATED if spec is BOOKING_CATALOG_EVENTS else BOOKING_CONFIRMED
    publisher = key.split(".")[1]
    async with running_mains(Consumer(url, spec, handle).run):
        async with open_channel(urls[publisher], TOPOLOGY, name="test") as (_, exchange):
            await exchange.publish(_message(key, publisher), key)
        await eventually(lambda: not failures)

        async def is_dead() -> bool:
            return len(await list_dead_letters(url, spec)) == 1

        await eventually(is_dead)
        assert await replay_dead_letters(url, spec) == 1
        await eventually(lambda: handled == [1])


async def test_a_missing_topology_is_an_error_that_names_the_administrator(
    broker: RabbitBackend,
) -> None:
    broker.add_vhost("empty")
    everything = {"configure": "^$", "write": "^$", "read": "^$"}
    broker.api("PUT", "/api/permissions/empty/booking", everything)
    url = broker.amqp_url("empty", ("booking", PASSWORDS["booking"]))
    with pytest.raises(TopologyMissing, match="an administrator has to declare the topology"):
        async with open_channel(url, TOPOLOGY, name="test"):
            pass


def test_a_second_bootstrap_changes_nothing(broker: RabbitBackend) -> None:
    paths = ("permissions", "topic-permissions", f"bindings/{VHOST}")
    before = [broker.api("GET", f"/api/{path}") for path in paths]
    bootstrap_broker(broker, VHOST, SERVICES, PASSWORDS)
    assert [broker.api("GET", f"/api/{path}") for path in paths] == before


async def _ignore(_: object) -> None:
    """Handle no message."""


def _message(message_type: str, service: str) -> aio_pika.Message:
    return build_amqp_message(
        PublishedMessage(
            id=uuid.uuid4(),
            type=message_type,
            source=f"/goticket/{service}",
            subject=str(uuid.uuid4()),
            version=1,
            partition_key="1",
            occurred_at=datetime.now(UTC),
            payload="{}",
        ),
        {},
    )
