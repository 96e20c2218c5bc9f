"""Forget idempotency keys that nobody will send again."""

from datetime import timedelta

from booking.application.ports import Clock, Duties

KEPT_FOR = timedelta(hours=24)
"""How long a repeated request is sure to get the first one's booking; the API says so."""
BATCH = 1_000
"""Most keys in one statement: none holds locks, or a sweeper, for long."""


async def forget_keys(*, duties: Duties, now: Clock, limit: int = BATCH) -> int:
    """Forget up to `limit` of the keys whose time has passed, oldest first; return how many.

    Their bookings stay. Any number of sweepers may do so at once.
    """
    return await duties.forget_keys(now() - KEPT_FOR, limit)
