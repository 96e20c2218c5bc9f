"""Deletes idempotency keys after their retention time."""

from datetime import timedelta

from booking.application.ports import Clock, MaintenanceQueries

RETENTION = timedelta(hours=24)
"""A repeated request gets the first one's booking for this long. The API promises it."""
BATCH_SIZE = 1_000
"""Most keys in one statement, so that none holds locks for long."""


async def purge_idempotency_keys(
    *, maintenance: MaintenanceQueries, now: Clock, limit: int = BATCH_SIZE
) -> int:
    """Delete up to `limit` keys past their retention time, oldest first; return how many.

    Their bookings stay. Any number of sweepers may run concurrently.
    """
    return await maintenance.purge_idempotency_keys(now() - RETENTION, limit)
