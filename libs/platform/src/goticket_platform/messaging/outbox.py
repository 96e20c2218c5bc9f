"""The outbox: events are rows in the transaction that causes them; a relay sends them later."""

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
from goticket_platform.telemetry import inject_context

NOTIFY_SPACING_SECONDS = 0.02
"""Least time between two wake-ups from one process; a busy relay polls without them anyway."""

logger = get_logger(__name__)


@dataclass(frozen=True)
class OutboxMessage:
    """One event to publish.

    `aggregate_id` orders: the relay sends an aggregate's events one after another.
    `partition_id` groups for whoever splits the stream later: the event's id in
    booking, the aggregate itself elsewhere. `headers` are the trace headers of the
    request behind it; None takes those of the current span.
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
        events: Sequence[OutboxMessage],
    ) -> None:
        """Write `events` in the caller's transaction, in one statement however many there are."""
        if not events:
            return
        here = inject_context()
        await connection.execute(
            self._append,
            [new_id() for _ in events],
            [event.type for event in events],
            [event.aggregate_id for event in events],
            [event.aggregate_version for event in events],
            [event.partition_id for event in events],
            [MessageToJson(event.payload, indent=None) for event in events],
            [
                json.dumps(dict(here if event.headers is None else event.headers))
                for event in events
            ],
            [event.occurred_at for event in events],
        )


class OutboxNotifier:
    """Wakes the relays after a commit, without ever being in its way.

    NOTIFY inside the transaction would take a lock that serialises all commits of the
    database. Here it runs afterwards, on its own, one at a time; wake-ups that come
    meanwhile become one. A lost one costs the relay's poll interval, nothing else.
    """

    def __init__(self, pool: asyncpg.Pool, schema: str) -> None:
        self._pool = pool
        self._notify = statements(schema)["wake_relay"]
        self._wanted = False
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Ask for a wake-up; call it after the commit. Returns at once and never raises."""
        self._wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Let the wake-up in flight finish; call it before the pool closes."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._wanted:
            self._wanted = False
            try:
                await self._pool.execute(self._notify)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                logger.warning("wake-up lost", reason=type(error).__name__)
            await asyncio.sleep(NOTIFY_SPACING_SECONDS)
