"""The inbox: an event's effect and the note that it happened are one transaction."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
from prometheus_client import Counter

from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.messaging.statements import statements
from goticket_platform.postgres import is_transient

PRUNED_AT_ONCE = 1_000
"""Most rows forgotten in one statement: none holds locks, or a worker, for long."""
PRUNE_EVERY_SECONDS = 3600.0

PRUNED = Counter("goticket_inbox_messages_pruned", "Events forgotten by the inbox", ["schema"])

logger = get_logger(__name__)


async def record_once(
    connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy,
    schema: str,
    consumer: str,
    message_id: UUID,
) -> bool:
    """Note that `consumer` handles the event, in the caller's transaction; tell if it is new.

    A concurrent duplicate waits here until the first one commits (then False) or
    rolls back (then True).

    Raises:
        asyncpg.LockNotAvailableError: the other one took longer than `lock_timeout`.
    """
    status = await connection.execute(statements(schema)["record_message"], consumer, message_id)
    return bool(status == "INSERT 0 1")


async def prune_inbox(
    pool: asyncpg.Pool, schema: str, older_than: timedelta, *, at_once: int = PRUNED_AT_ONCE
) -> int:
    """Forget events that were seen longer ago than `older_than`; return how many.

    Many processes may do it at once. `older_than` must be longer than any event can
    wait in a retry queue or as a dead letter: one that comes again after that is new.
    The table needs an index on `received_at`.
    """
    before = datetime.now(UTC) - older_than
    pruned = 0
    while True:
        status = await pool.execute(statements(schema)["prune_inbox"], before, at_once)
        count = int(status.rpartition(" ")[2])
        pruned += count
        PRUNED.labels(schema).inc(count)
        if count < at_once:
            return pruned


async def prune_inbox_periodically(
    pool: asyncpg.Pool,
    schema: str,
    older_than: timedelta,
    stop: Stop,
    *,
    every: float = PRUNE_EVERY_SECONDS,
) -> None:
    """Prune now and every so many seconds until `stop`; no failure ends it."""
    while True:
        try:
            pruned = await prune_inbox(pool, schema, older_than)
            logger.info("inbox pruned", events=pruned)
        except Exception as error:
            logger.warning(
                "inbox not pruned",
                reason=type(error).__name__,
                exc_info=None if is_transient(error) else error,
            )
        if await stop.wait(every):
            return
