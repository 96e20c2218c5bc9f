"""The consumer against a real broker."""

import asyncio
import itertools
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from aio_pika import Message, connect
from aio_pika.exceptions import ChannelNotFoundEntity
from aio_pika.queue import Queue
from goticket_platform.cli import dead_letters_command
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging import consumer
from goticket_platform.messaging.broker import open_channel
from goticket_platform.messaging.consumer import NonRetryableError, ReceivedMessage, RetryableError
from goticket_platform.messaging.dead_letters import list_dead_letters, replay_dead_letters
from goticket_platform.messaging.inbox import record_once
from goticket_platform.telemetry import tracer
from goticket_testing.backend import RabbitBackend
from goticket_testing.messaging import (
    EVENT_TYPE,
    QUEUE,
    SMALL,
    Received,
    append,
    eventually,
    make_consumer,
    make_message,
    make_relay,
    running,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Failing(Received):
    """A handler that fails its first `times` calls."""

    def __init__(self, error: Callable[[], Exception], times: int) -> None:
        super().__init__()
        self.error = error
        self.times = times

    async def __call__(self, message: ReceivedMessage) -> None:
        """Record the message, then fail the first calls."""
        await super().__call__(message)
        if len(self.messages) <= self.times:
            raise self.error()


async def test_a_failed_message_is_retried_until_it_succeeds(
    pool: asyncpg.Pool, amqp_url: str
) -> None:
    handler = Failing(lambda: RuntimeError("failed"), times=2)
    await append(pool, make_message())
    async with running(make_relay(pool, amqp_url).run, make_consumer(amqp_url, handler).run):
        await eventually(lambda: len(handler.messages) == 3)
    assert [message.attempt for message in handler.messages] == [1, 2, 3]
    assert len(handler.ids) == 1
    assert handler.messages[0].payload == handler.messages[2].payload
    assert await list_dead_letters(amqp_url, QUEUE, topology=SMALL) == []


async def test_a_message_with_exhausted_attempts_is_dead_lettered_with_the_reason(
    pool: asyncpg.Pool, amqp_url: str
) -> None:
    handler = Failing(lambda: RuntimeError("mail to jo@example.org bounced"), times=99)
    await append(pool, make_message())
    async with running(make_relay(pool, amqp_url).run, make_consumer(amqp_url, handler).run):
        await eventually(lambda: has_dead_letters(amqp_url, 1))
    assert [message.attempt for message in handler.messages] == [1, 2, 3]
    (dead_letter,) = await list_dead_letters(amqp_url, QUEUE, topology=SMALL)
    assert dead_letter.id == str(handler.messages[0].id)
    assert dead_letter.type == EVENT_TYPE
    assert dead_letter.reason == "attempts exhausted (3): RuntimeError: mail to <address> bounced"
    assert dead_letter.attempts == 3
    assert dead_letter.time


async def test_a_non_retryable_error_dead_letters_at_once(
    pool: asyncpg.Pool, amqp_url: str
) -> None:
    handler = Failing(lambda: NonRetryableError("no such template"), times=1)
    await append(pool, make_message())
    async with running(make_relay(pool, amqp_url).run, make_consumer(amqp_url, handler).run):
        await eventually(lambda: has_dead_letters(amqp_url, 1))
        assert len(handler.messages) == 1
    (dead_letter,) = await list_dead_letters(amqp_url, QUEUE, topology=SMALL)
    assert dead_letter.reason == "no such template"


async def test_an_outage_does_not_exhaust_the_attempts(pool: asyncpg.Pool, amqp_url: str) -> None:
    handler = Failing(lambda: RetryableError("the mail server is down"), times=8)
    await append(pool, make_message())
    async with running(make_relay(pool, amqp_url).run, make_consumer(amqp_url, handler).run):
        await eventually(lambda: len(handler.messages) == 9)
    assert await list_dead_letters(amqp_url, QUEUE, topology=SMALL) == []


@pytest.mark.parametrize(
    ("body", "change", "reason"),
    [
        (b"\xff\xfe", {}, "not a valid CloudEvents message"),
        (b"{}", {"cloudEvents:id": None}, "header 'cloudEvents:id' is missing"),
        (b"{}", {"cloudEvents:id": "seven"}, "not a valid CloudEvents message"),
        (b"{}", {"cloudEvents:specversion": "2.0"}, "CloudEvents 2.0"),
        (b"{}", {"goticket:aggregateversion": "new"}, "not a valid CloudEvents message"),
        (b"{}", {"cloudEvents:time": "noon"}, "not a valid CloudEvents message"),
        (b"[1]", {}, "the body is not a google.protobuf.Struct"),
        (b"{", {}, "the body is not a google.protobuf.Struct"),
    ],
)
async def test_an_invalid_message_is_dead_lettered_and_the_next_one_handled(
    amqp_url: str, body: bytes, change: dict[str, str | None], reason: str
) -> None:
    received = Received()

    async def handle(message: ReceivedMessage) -> None:
        message.parse(type(make_message().payload))
        await received(message)

    await publish(amqp_url, body, change)
    good = await publish(amqp_url, b"{}", {})
    async with running(make_consumer(amqp_url, handle).run):
        await eventually(lambda: received.ids == {good})
        await eventually(lambda: has_dead_letters(amqp_url, 1))
    (dead_letter,) = await list_dead_letters(amqp_url, QUEUE, topology=SMALL)
    assert reason in dead_letter.reason


async def test_replayed_dead_letters_start_at_the_first_attempt(
    pool: asyncpg.Pool, amqp_url: str
) -> None:
    broken = Failing(lambda: NonRetryableError("bug"), times=3)
    await append(pool, make_message(), make_message(), make_message())
    async with running(make_relay(pool, amqp_url).run, make_consumer(amqp_url, broken).run):
        await eventually(lambda: has_dead_letters(amqp_url, 3))
    assert await replay_dead_letters(amqp_url, QUEUE, limit=1, topology=SMALL) == 1
    assert await replay_dead_letters(amqp_url, QUEUE, topology=SMALL) == 2
    assert await replay_dead_letters(amqp_url, QUEUE, topology=SMALL) == 0
    repaired = Received()
    async with running(make_consumer(amqp_url, repaired).run):
        await eventually(lambda: repaired.ids == broken.ids)
    assert {message.attempt for message in repaired.messages} == {1}
    assert all("goticket:reason" not in message.headers for message in repaired.messages)


async def test_repeated_listing_loses_no_dead_letters(amqp_url: str) -> None:
    message_id = await publish(amqp_url, b"{}", {}, to=QUEUE.dead_letters)
    for _ in range(25):
        dead_letters = await list_dead_letters(amqp_url, QUEUE, topology=SMALL)
        assert [dead_letter.id for dead_letter in dead_letters] == [str(message_id)]


async def test_the_command_lists_and_replays_dead_letters(
    amqp_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message_id = await publish(amqp_url, b"{}", {}, to=QUEUE.dead_letters)

    def command(action: str, limit: int | None) -> int:
        return dead_letters_command(action, limit, amqp_url, QUEUE, topology=SMALL)

    assert await asyncio.to_thread(command, "list", None) == 0
    assert str(message_id) in capsys.readouterr().out
    assert await asyncio.to_thread(command, "replay", 5) == 0
    assert capsys.readouterr().out == "replayed 1\n"


async def test_messages_of_one_subject_are_handled_one_after_another(
    pool: asyncpg.Pool, amqp_url: str
) -> None:
    in_progress: set[str] = set()
    most_at_once = 0
    received = Received()

    async def handle(message: ReceivedMessage) -> None:
        nonlocal most_at_once
        assert message.subject not in in_progress
        in_progress.add(message.subject)
        most_at_once = max(most_at_once, len(in_progress))
        await asyncio.sleep(0.005)
        in_progress.remove(message.subject)
        await received(message)

    aggregates = [uuid.uuid4() for _ in range(5)]
    for version in range(1, 9):
        await append(pool, *(make_message(aggregate, version) for aggregate in aggregates))
    async with running(make_relay(pool, amqp_url).run):
        await eventually(lambda: is_relayed(pool))
    async with running(make_consumer(amqp_url, handle, prefetch=20).run):
        await eventually(lambda: len(received.ids) == 40)
    for aggregate in aggregates:
        assert received.versions(aggregate) == list(range(1, 9))
    assert most_at_once > 1
    assert len(received.messages) == 40  # no assertion in the handler failed and was retried


async def test_a_stop_lets_messages_in_flight_finish(pool: asyncpg.Pool, amqp_url: str) -> None:
    started, resume = asyncio.Event(), asyncio.Event()
    finished = Received()

    async def handle(message: ReceivedMessage) -> None:
        started.set()
        await resume.wait()
        await finished(message)

    await publish(amqp_url, b"{}", {})
    stop = Stop()
    consuming = asyncio.create_task(make_consumer(amqp_url, handle).run(stop))
    await asyncio.wait_for(started.wait(), 20)
    stop.set()
    await asyncio.sleep(0)
    assert not consuming.done()
    resume.set()
    await asyncio.wait_for(consuming, 20)
    assert len(finished.messages) == 1
    assert await message_count(amqp_url, QUEUE.name) == 0  # it was acknowledged


async def test_a_broker_restart_lets_the_handler_finish_and_redelivers_the_message(
    own_broker: RabbitBackend,
) -> None:
    amqp_url = own_broker.amqp_url()
    started, resume = asyncio.Event(), asyncio.Event()
    received = Received()

    async def handle(message: ReceivedMessage) -> None:
        started.set()
        await resume.wait()
        await received(message)

    message_id = await publish(amqp_url, b"{}", {})
    async with running(make_consumer(amqp_url, handle).run):
        await asyncio.wait_for(started.wait(), 20)
        await asyncio.to_thread(own_broker.restart)
        assert not received.messages
        resume.set()
        await eventually(lambda: len(received.messages) == 2, 60)
        assert received.ids == {message_id}
        await eventually(lambda: is_drained(amqp_url))


async def test_the_consumer_reconnects_to_a_broker_killed_during_many_acknowledgements(
    own_broker: RabbitBackend,
) -> None:
    """The client has more acknowledgements to send than its write queue holds."""
    amqp_url = own_broker.amqp_url()
    ids = {await publish(amqp_url, b"{}", {}) for _ in range(40)}
    await asyncio.to_thread(
        own_broker.restart
    )  # before a restart a killed broker may lose the queue
    resume = asyncio.Event()
    received = Received()

    async def handle(message: ReceivedMessage) -> None:
        await received(message)
        await resume.wait()

    async with running(make_consumer(amqp_url, handle, prefetch=40).run):
        await eventually(lambda: received.ids == ids, 60)
        received.messages.clear()
        own_broker.kill()  # blocks the loop, so the client acknowledges before it notices
        resume.set()
        await asyncio.to_thread(own_broker.start)
        await eventually(lambda: received.ids == ids, 60)


async def test_a_deleted_queue_is_declared_again_by_its_consumer(amqp_url: str) -> None:
    received = Received()
    async with running(make_consumer(amqp_url, received).run):
        await publish(amqp_url, b"{}", {})
        await eventually(lambda: len(received.ids) == 1)
        async with await connect(amqp_url) as connection:
            await (await connection.channel()).queue_delete(QUEUE.name)
        await eventually(lambda: exists(amqp_url, QUEUE.name))
        await publish(amqp_url, b"{}", {})
        await eventually(lambda: len(received.ids) == 2)


async def test_a_subscription_without_an_answer_is_retried(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "SUBSCRIBE_SECONDS", 0.3)
    consume = Queue.consume
    attempts = itertools.count()

    async def unanswered_at_first(queue: Queue, *arguments: Any, **more: Any) -> str:
        if not next(attempts):
            await asyncio.Event().wait()
        return await consume(queue, *arguments, **more)

    monkeypatch.setattr(Queue, "consume", unanswered_at_first)
    received = Received()
    async with running(make_consumer(amqp_url, received).run):
        message_id = await publish(amqp_url, b"{}", {})
        await eventually(lambda: received.ids == {message_id})


async def test_of_concurrent_duplicates_one_has_an_effect(pool: asyncpg.Pool) -> None:
    message_id = uuid.uuid4()
    barrier = asyncio.Barrier(10)
    effects = 0

    async def handle() -> None:
        nonlocal effects
        async with pool.acquire() as connection:
            await barrier.wait()
            async with connection.transaction():
                if await record_once(connection, "booking", "test", message_id):
                    await asyncio.sleep(0.01)  # the others wait for the end of this transaction
                    effects += 1

    await asyncio.gather(*(handle() for _ in range(10)))
    assert effects == 1


async def test_a_rolled_back_message_is_still_new(pool: asyncpg.Pool) -> None:
    message_id = uuid.uuid4()
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert await record_once(connection, "booking", "test", message_id)
        await transaction.rollback()
        assert await record_once(connection, "booking", "test", message_id)
        assert not await record_once(connection, "booking", "test", message_id)
        assert await record_once(connection, "booking", "another", message_id)


async def test_one_trace_spans_request_publish_and_handler(
    pool: asyncpg.Pool, amqp_url: str, spans: InMemorySpanExporter
) -> None:
    handled = asyncio.Event()

    async def handle(_: ReceivedMessage) -> None:
        with tracer.start_as_current_span("effect"):
            handled.set()

    with tracer.start_as_current_span("request"):
        await append(pool, make_message())
    async with running(make_relay(pool, amqp_url).run, make_consumer(amqp_url, handle).run):
        await asyncio.wait_for(handled.wait(), 30)
    by_name = {span.name: span for span in spans.get_finished_spans()}
    chain = ["request", f"{SMALL.exchange} publish", f"{QUEUE.name} process", "effect"]
    for earlier, later in itertools.pairwise(chain):
        parent = by_name[later].parent
        assert parent is not None
        assert by_name[earlier].context is not None
        assert parent.span_id == by_name[earlier].context.span_id
        assert parent.trace_id == by_name[earlier].context.trace_id


async def test_an_unsampled_trace_is_passed_on_without_a_span(
    pool: asyncpg.Pool, amqp_url: str, spans: InMemorySpanExporter
) -> None:
    received = Received()
    unsampled = f"00-{'4b' * 16}-{'0a' * 8}-00"
    await append(pool, replace(make_message(), headers={"traceparent": unsampled}))
    async with running(make_relay(pool, amqp_url).run, make_consumer(amqp_url, received).run):
        await eventually(lambda: len(received.messages) == 1)
    assert received.messages[0].headers["traceparent"] == unsampled
    assert f"{SMALL.exchange} publish" not in {span.name for span in spans.get_finished_spans()}


async def publish(
    amqp_url: str, body: bytes, change: dict[str, str | None], *, to: str = QUEUE.name
) -> uuid.UUID:
    """Publish a message to a queue, with some headers changed or (None) removed."""
    message_id = uuid.uuid4()
    headers = {
        "cloudEvents:specversion": "1.0",
        "cloudEvents:id": str(message_id),
        "cloudEvents:type": EVENT_TYPE,
        "cloudEvents:source": "/test",
        "cloudEvents:subject": str(uuid.uuid4()),
        "cloudEvents:time": "2026-11-20T13:00:00+00:00",
        "goticket:aggregateversion": "1",
        **change,
    }
    message = Message(
        body,
        headers={name: value for name, value in headers.items() if value is not None},
        message_id=str(message_id),
    )
    async with open_channel(amqp_url, SMALL, name="test") as (channel, _):
        await channel.default_exchange.publish(message, to)
    return message_id


async def exists(amqp_url: str, queue: str) -> bool:
    async with await connect(amqp_url) as connection:
        channel = await connection.channel()
        try:
            await channel.declare_queue(queue, passive=True)
        except ChannelNotFoundEntity:
            return False
    return True


async def message_count(amqp_url: str, queue: str) -> int:
    async with open_channel(amqp_url, SMALL, name="test") as (channel, _):
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


async def has_dead_letters(amqp_url: str, count: int) -> bool:
    return await message_count(amqp_url, QUEUE.dead_letters) == count


async def is_drained(amqp_url: str) -> bool:
    return await message_count(amqp_url, QUEUE.name) == 0


async def is_relayed(pool: asyncpg.Pool) -> bool:
    return bool(await pool.fetchval("SELECT NOT EXISTS (SELECT FROM booking.outbox)"))
