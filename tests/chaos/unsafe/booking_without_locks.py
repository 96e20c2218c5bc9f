"""`booking`, but no statement of it locks a row.

What it has read of the stock is a little old when it decides, as it may be: with locks
that does no harm.
"""

import asyncio
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from goticket_platform import postgres

LOCK = re.compile(r"\bFOR (NO KEY )?UPDATE\b( OF \w+)?( SKIP LOCKED)?")
THINKS_SECONDS = 0.5
load = postgres.load_queries


def load_without_locks(package: str, name: str = "queries.sql") -> Mapping[str, str]:
    """Read the statements of a file; those of booking lose their locks."""
    found = load(package, name)
    if not package.startswith("booking."):
        return found
    unlocked = {key: LOCK.sub("", sql) for key, sql in found.items()}
    if unlocked == dict(found):
        raise RuntimeError("booking locks no rows any more: this test has lost its object")
    return MappingProxyType(unlocked)


if __name__ == "__main__":
    postgres.load_queries = load_without_locks
    # They bind `load_queries` when they are imported.
    from booking.adapters.postgres.transaction import PostgresTransaction
    from booking.entrypoints.cli import main

    open_sale = PostgresTransaction.open_sale

    async def open_and_think(self: PostgresTransaction, *arguments: Any) -> Any:
        """Read the stock and hesitate."""
        found = await open_sale(self, *arguments)
        await asyncio.sleep(THINKS_SECONDS)
        return found

    PostgresTransaction.open_sale = open_and_think  # type: ignore[method-assign,assignment]  # on purpose
    main()
