"""Parts of the messaging package that need no server."""

import asyncio
from typing import Any

import asyncpg
import pytest
from goticket_contracts.event_types import PAYLOADS
from goticket_contracts.topology import RETRY_SECONDS, TOPOLOGY, QueueSpec
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.broker import keep_connected
from goticket_platform.messaging.cloudevents import NonRetryableError
from goticket_platform.messaging.consumer import HandlerTimeout
from goticket_platform.messaging.keyed_locks import KeyedLocks
from goticket_platform.messaging.retry_decision import RetryableError, decide_retry, describe
from goticket_platform.messaging.statements import statements
from goticket_platform.retry import Outage

QUEUE = QueueSpec("q", (), retry_seconds=(1, 5, 30))


def test_each_failure_waits_longer_until_the_attempts_are_exhausted() -> None:
    error = RuntimeError("x")
    decisions = [decide_retry(QUEUE, attempt, error) for attempt in (1, 2, 3, 4)]
    assert [decision.queue for decision in decisions] == [
        "q.retry.1s",
        "q.retry.5s",
        "q.retry.30s",
        "q.dead",
    ]
    assert [decision.attempt for decision in decisions] == [2, 3, 4, 4]
    assert [decision.final for decision in decisions] == [False, False, False, True]


@pytest.mark.parametrize(
    "error",
    [
        RetryableError("the mail server is down"),
        ConnectionRefusedError("the mail server is down"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.AdminShutdownError("shutting down"),
        asyncpg.TooManyConnectionsError("too many clients"),
        asyncpg.LockNotAvailableError("lock timeout"),
        asyncpg.InterfaceError("connection is closed"),
        TimeoutError(),
        OSError(113, "No route to host"),
    ],
)
def test_a_message_stays_at_the_longest_delay_during_an_outage(error: Exception) -> None:
    decision = decide_retry(QUEUE, 4, error)
    assert (decision.queue, decision.final) == ("q.retry.30s", False)
    assert decide_retry(QUEUE, decision.attempt, error) == decision
    assert decide_retry(QUEUE, 3, RuntimeError()).final is False


def test_an_outage_leaves_a_retry_for_a_later_failure_of_another_kind() -> None:
    attempt = 1
    for _ in range(9):
        attempt = decide_retry(QUEUE, attempt, RetryableError("the mail server is down")).attempt
    assert decide_retry(QUEUE, attempt, RuntimeError("greylisted")).final is False


def test_a_handler_timeout_uses_up_no_attempts() -> None:
    assert decide_retry(QUEUE, 4, HandlerTimeout("no end after 60 s")).final is False


def test_a_queue_without_retries_dead_letters_at_once() -> None:
    assert (
        decide_retry(QueueSpec("q", (), retry_seconds=()), 1, RuntimeError("x")).queue == "q.dead"
    )
    assert decide_retry(QueueSpec("q", (), retry_seconds=()), 1, RetryableError("x")).final


def test_a_reason_has_the_error_without_addresses() -> None:
    error = RuntimeError("550 <jo@example.org>: no such\n user")
    assert describe(error) == "RuntimeError: 550 <<address>>: no such user"
    assert describe(NonRetryableError("why")) == "why"
    assert len(describe(RuntimeError("x" * 5000))) == 300


async def test_a_cancelled_future_of_the_client_is_a_lost_connection() -> None:
    stop = Stop()
    calls = 0

    async def session(_: Outage) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            stop.set()
            return
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    await keep_connected(stop, session, name="example")
    assert calls == 2


async def test_a_cancellation_ends_the_connection() -> None:
    task = asyncio.create_task(
        keep_connected(Stop(), lambda _: asyncio.Event().wait(), name="example")
    )
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_keyed_locks_serve_in_order_and_are_removed() -> None:
    locks = KeyedLocks()
    order: list[int] = []

    async def work(number: int) -> None:
        async with locks.hold("key"):
            await asyncio.sleep(0)
            order.append(number)

    await asyncio.gather(*(work(number) for number in range(5)))
    assert order == list(range(5))
    assert not locks._locks
    assert not locks._users


@pytest.mark.parametrize("schema", ["", "Booking", "a-b", 'x"; DROP TABLE y', "a.b"])
def test_only_a_plain_schema_name_becomes_part_of_sql(schema: str) -> None:
    with pytest.raises(ValueError, match="not a schema name"):
        statements(schema)


def test_retry_delays_start_at_one_second_and_grow() -> None:
    assert list(RETRY_SECONDS) == sorted(RETRY_SECONDS)
    assert list(TOPOLOGY.queues[0].retry_queues) == [
        "booking.catalog-events.retry.1s",
        "booking.catalog-events.retry.5s",
        "booking.catalog-events.retry.30s",
        "booking.catalog-events.retry.120s",
        "booking.catalog-events.retry.600s",
    ]


def test_every_event_type_has_its_payload_message() -> None:
    for kind, payload in PAYLOADS.items():
        _, service, aggregate, verb, version = kind.split(".")
        assert payload.DESCRIPTOR.full_name == (
            f"goticket.{service}.{version}.{aggregate.capitalize()}{verb.capitalize()}"
        )
