"""The inbox: a message's effect and the record of it are one transaction."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
from prometheus_client import Counter

from goticket_platform.lifecycle import Stop
from goticket_platform.logs import get_logger
from goticket_platform.messaging.statements import statements
from goticket_platform.postgres import is_transient

PRUNE_BATCH_SIZE = 1_000
"""Most rows deleted in one statement, so that none holds locks or a connection for long."""
PRUNE_EVERY_SECONDS = 3600.0

INBOX_PRUNED = Counter(
    "goticket_inbox_messages_pruned", "Messages deleted from the inbox", ["schema"]
)

logger = get_logger(__name__)


async def record_once(
    connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy,
    schema: str,
    consumer: str,
    message_id: UUID,
) -> bool:
    """Record in the caller's transaction that `consumer` handles the message.

    Returns whether the message is new. A concurrent duplicate waits until the first transaction
    commits (then False) or rolls back (then True).

    Raises:
        asyncpg.LockNotAvailableError: the first transaction took longer than `lock_timeout`.
    """
    status = await connection.execute(statements(schema)["record_message"], consumer, message_id)
    return bool(status == "INSERT 0 1")


async def prune_inbox(
    pool: asyncpg.Pool, schema: str, older_than: timedelta, *, at_once: int = PRUNE_BATCH_SIZE
) -> int:
    """Delete messages that were received longer ago than `older_than`; return how many.

    Several processes may prune concurrently. `older_than` must be longer than a message can
    stay in a retry queue or a dead-letter queue: a message that returns later counts as new.
    """
    before = datetime.now(UTC) - older_than
    pruned = 0
    while True:
        status = await pool.execute(statements(schema)["prune_inbox"], before, at_once)
        count = int(status.rpartition(" ")[2])
        pruned += count
        INBOX_PRUNED.labels(schema).inc(count)
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
    """Prune now and every `every` seconds until `stop`. A failure is logged and ends nothing."""
    while True:
        try:
            pruned = await prune_inbox(pool, schema, older_than)
            logger.info("inbox pruned", messages=pruned)
        except Exception as error:
            logger.warning(
                "inbox not pruned",
                reason=type(error).__name__,
                exc_info=None if is_transient(error) else error,
            )
        if await stop.wait(every):
            return
