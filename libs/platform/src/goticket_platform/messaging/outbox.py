"""The outbox: messages are rows in the transaction that causes them; a relay publishes them."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from goticket_platform.ids import new_id
from goticket_platform.logs import get_logger
from goticket_platform.messaging.statements import statements
from goticket_platform.postgres import DATABASE_ERRORS
from goticket_platform.telemetry import inject_context

NOTIFY_INTERVAL_SECONDS = 0.02
"""Least time between two notifications of one process. A busy relay does not wait for them."""

logger = get_logger(__name__)


@dataclass(frozen=True)
class OutboxMessage:
    """One message to publish.

    The relay publishes the messages of one `aggregate_id` in order. `partition_id` is the
    CloudEvents partition key for consumers that split the stream: the event's id in booking,
    the aggregate's id elsewhere. `headers` are the trace headers of the request that caused
    the message; None means those of the current span.
    """

    type: str
    aggregate_id: UUID
    aggregate_version: int
    partition_id: UUID
    payload: Message
    occurred_at: datetime
    headers: Mapping[str, str] | None = None


class Outbox:
    """Appends to the outbox table of one service's schema."""

    def __init__(self, schema: str) -> None:
        self._append = statements(schema)["append_messages"]

    async def append(
        self,
        connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy,
        messages: Sequence[OutboxMessage],
    ) -> None:
        """Insert `messages` in the caller's transaction with one statement."""
        if not messages:
            return
        current = inject_context()
        await connection.execute(
            self._append,
            [new_id() for _ in messages],
            [message.type for message in messages],
            [message.aggregate_id for message in messages],
            [message.aggregate_version for message in messages],
            [message.partition_id for message in messages],
            [MessageToJson(message.payload, indent=None) for message in messages],
            [
                json.dumps(dict(current if message.headers is None else message.headers))
                for message in messages
            ],
            [message.occurred_at for message in messages],
        )


class OutboxNotifier:
    """Notifies the relays after a commit, outside of the transaction.

    NOTIFY inside a transaction takes a lock that serializes all commits of the database. Here
    it runs after the commit in a task of its own, one at a time. Requests that arrive while it
    runs are combined into one. A lost notification costs the relay's poll interval.
    """

    def __init__(self, pool: asyncpg.Pool, schema: str) -> None:
        self._pool = pool
        self._notify = statements(schema)["notify_relays"]
        self._requested = False
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Request a notification; call it after the commit. Returns at once and never raises."""
        self._requested = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Wait for the notification in flight; call it before the pool closes."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._requested:
            self._requested = False
            try:
                await self._pool.execute(self._notify)
            except DATABASE_ERRORS as error:
                logger.warning("notification lost", reason=type(error).__name__)
            await asyncio.sleep(NOTIFY_INTERVAL_SECONDS)
