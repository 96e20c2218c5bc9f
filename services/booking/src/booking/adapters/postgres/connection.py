"""The connection type of the adapters, and errors of constraints as errors of the domain."""

import asyncpg

from booking.domain.errors import SoldOut

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


def domain_error(error: asyncpg.CheckViolationError) -> Exception:
    """Return the domain error of a violated CHECK, or the error itself."""
    return SoldOut() if error.constraint_name == "inventory_never_oversold" else error
